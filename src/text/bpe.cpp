// Symbols, merges, and what becomes of symbols that no token covers.
// Fourth and last step of encode().
#include "src/text/bpe.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "src/text/byte_alphabet.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

namespace {

std::optional<TokenId> find_mergeable(const Vocabulary& vocabulary, std::string_view text) {
  const auto id = vocabulary.find(text);
  return id && is_mergeable(vocabulary.kind(*id)) ? id : std::nullopt;
}

// The end of the word that starts at text[from]: where the next space mark follows something else.
std::size_t word_end(std::string_view text, std::size_t from) {
  while (text.substr(from).starts_with(space_mark)) from += space_mark.size();
  return std::min(text.find(space_mark, from), text.size());
}

}  // namespace

bool words_stand_alone(const Vocabulary& vocabulary) {
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (is_mergeable(vocabulary.kind(id)) && word_end(text, 0) < text.size()) return false;
  }
  return true;
}

void Bpe::find_byte_letters(const Vocabulary& vocabulary) {
  for (std::size_t byte = 0; byte < byte_tokens.size(); ++byte) {
    std::string letter;
    append_utf8(letter, byte_alphabet[byte]);
    byte_tokens[byte] = vocabulary.find(letter).value_or(-1);
  }
}

std::optional<std::size_t> Bpe::find_byte_tokens(const Vocabulary& vocabulary) {
  bool has_one = false;
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary.kind(id) != TokenKind::byte) continue;
    byte_tokens[*parse_byte_token(vocabulary.text(id))] = id;
    has_one = true;
  }
  const auto absent = std::find(byte_tokens.begin(), byte_tokens.end(), -1);
  if (absent == byte_tokens.end() || (!has_one && unknown)) return std::nullopt;
  return static_cast<std::size_t>(absent - byte_tokens.begin());
}

void Bpe::rank_by_scores(const Vocabulary& vocabulary, const std::vector<double>& scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
  text_ranks.assign(vocabulary.size(), Merge::never);
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && scores[order[i]] < scores[order[i - 1]]) ++rank;
    if (is_mergeable(vocabulary.kind(static_cast<TokenId>(order[i])))) text_ranks[order[i]] = rank;
  }
  cuts_at_spaces = words_stand_alone(vocabulary);
}

void Bpe::encode(const Vocabulary& vocabulary, std::string_view piece, Work& work,
                 std::vector<TokenId>& out) const {
  work.after_unknown = false;
  for (std::size_t from = 0; from < piece.size();) {
    const std::size_t end = cuts_at_spaces ? word_end(piece, from) : piece.size();
    merge_piece(vocabulary, piece.substr(from, end - from), work, out);
    from = end;
  }
}

void Bpe::merge_piece(const Vocabulary& vocabulary, std::string_view piece, Work& work,
                      std::vector<TokenId>& out) const {
  if (piece.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error({.code = ErrorCode::limit,
                 .source = "encode",
                 .field = "text",
                 .found = std::to_string(piece.size()) + " bytes in one piece",
                 .allowed = "less than 4 GiB"});
  }
  if (ignore_merges) {
    work.mapped.clear();
    if (byte_level) append_in_alphabet(work.mapped, piece);
    if (const auto id = find_mergeable(vocabulary, byte_level ? work.mapped : piece))
      return out.push_back(*id);
  }
  std::vector<Symbol>& symbols = work.merger.symbols;
  fill_symbols(vocabulary, piece, symbols);
  work.merger.merge([&](const Symbol& left, const Symbol& right) {
    const auto find = [&]() -> Merge {
      if (text_ranks.empty()) return merges.find(left.token, right.token);
      const auto id = vocabulary.find(piece.substr(left.begin, right.end - left.begin));
      return id ? Merge{text_ranks[static_cast<std::size_t>(*id)], *id} : Merge{};
    };
    const bool are_tokens = left.token >= 0 && right.token >= 0;
    return are_tokens ? work.pairs.find(left.token, right.token, find) : find();
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.token < 0) {
      emit(piece.substr(symbol.begin, symbol.end - symbol.begin), work, out);
    } else {
      out.push_back(symbol.token);
      work.after_unknown = false;
    }
  }
}

void Bpe::fill_symbols(const Vocabulary& vocabulary, std::string_view piece,
                       std::vector<Symbol>& symbols) const {
  symbols.clear();
  const auto size = static_cast<std::uint32_t>(piece.size());
  if (byte_level) {
    for (std::uint32_t at = 0; at < size; ++at) {
      symbols.push_back({at, at + 1, byte_tokens[static_cast<unsigned char>(piece[at])]});
    }
    return;
  }
  for (std::uint32_t at = 0; at < size;) {
    const std::uint32_t end = at + static_cast<std::uint32_t>(utf8_length(piece[at]));
    symbols.push_back({at, end, find_mergeable(vocabulary, piece.substr(at, end - at)).value_or(-1)});
    at = end;
  }
}

// One character (byte-level: one byte) that is no token.
void Bpe::emit(std::string_view text, Work& work, std::vector<TokenId>& out) const {
  const auto token_of = [&](char byte) { return byte_tokens[static_cast<unsigned char>(byte)]; };
  if (std::all_of(text.begin(), text.end(), [&](char byte) { return token_of(byte) >= 0; })) {
    for (const char byte : text) out.push_back(token_of(byte));
    work.after_unknown = false;
  } else if (unknown && !(fuse_unknown && work.after_unknown)) {
    out.push_back(*unknown);
    work.after_unknown = true;
  }
}

}  // namespace nibble::inline v0
