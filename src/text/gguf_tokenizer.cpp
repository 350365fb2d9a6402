// A tokenizer from GGUF metadata: the tokenizer.ggml.* keys.
// One of the three loaders behind Tokenizer.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <span>

#include "src/file/in_quotes.hpp"
#include "src/text/pre_patterns.hpp"
#include "src/text/tokenizer_parts.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::string_view key_model = "tokenizer.ggml.model";
constexpr std::string_view key_pre = "tokenizer.ggml.pre";
constexpr std::string_view key_tokens = "tokenizer.ggml.tokens";
constexpr std::string_view key_scores = "tokenizer.ggml.scores";
constexpr std::string_view key_types = "tokenizer.ggml.token_type";
constexpr std::string_view key_merges = "tokenizer.ggml.merges";
constexpr std::string_view key_template = "tokenizer.chat_template";
constexpr std::uint64_t no_token = 0xFFFFFFFF;  // how files write that there is none

std::string item(std::string_view name, std::size_t index) {
  return std::string(name) + " " + std::to_string(index);
}

constexpr std::size_t merges_together = 16;
struct MergeTexts {
  std::string_view left, right;
  std::uint64_t left_hash, right_hash;
};
struct MergeTokens {
  TokenId left, right, result;
};

class GgufTokenizer {
 public:
  GgufTokenizer(const Metadata& metadata, const Limits& limits) : m_(metadata), limits_(limits) {}

  TokenizerParts read() {
    const std::string_view model = m_.text(key_model);
    if (model != "llama" && model != "gpt2") {
      throw m_.error(ErrorCode::unsupported, key_model, in_quotes(model), "\"llama\" or \"gpt2\"");
    }
    parts_.text_bytes = limits_.text_bytes;
    parts_.bpe.byte_level = model == "gpt2";
    read_vocabulary();
    parts_.bpe.byte_level ? read_byte_level() : read_sentencepiece();
    read_ends();
    read_specials();
    read_templates();
    return std::move(parts_);
  }

 private:
  void read_vocabulary();
  TokenKind kind_of(std::size_t id, const std::vector<std::int64_t>* types) const;
  void read_byte_level();
  void read_merges();
  void read_merges(std::span<const std::string> merges, std::size_t first);
  std::optional<TokenId> find_result(std::string_view left, std::string_view right);
  void read_sentencepiece();
  void read_ends();
  void read_specials();
  void read_templates();
  void wrap(bool adds_bos);
  std::optional<TokenId> token(std::string_view key, std::optional<TokenId> absent = std::nullopt) const;

  const Metadata& m_;
  const Limits& limits_;
  const std::vector<std::string>* tokens_ = nullptr;
  TokenizerParts parts_;
  std::string joined_;        // of a merge
  TokenId last_result_ = -1;  // of the merge before
};

void GgufTokenizer::read_vocabulary() {
  tokens_ = m_.texts(key_tokens);
  if (!tokens_) throw m_.error(ErrorCode::missing, key_tokens, "no such key", "array of strings");
  if (tokens_->size() > limits_.vocabulary) {
    throw m_.error(ErrorCode::limit, key_tokens, std::to_string(tokens_->size()),
                   "at most " + std::to_string(limits_.vocabulary));
  }
  const auto* types = m_.integers(key_types);
  if (types && types->size() != tokens_->size()) {
    throw m_.error(ErrorCode::malformed, key_types, std::to_string(types->size()) + " types",
                   "one for each of " + std::to_string(tokens_->size()) + " tokens");
  }
  for (std::size_t i = 0; i < tokens_->size(); ++i) {
    const std::string_view text = (*tokens_)[i];
    if (find_invalid_utf8(text)) {
      throw m_.error(ErrorCode::malformed, key_tokens, item("token", i) + ": " + in_quotes(text), "UTF-8");
    }
    if (!parts_.vocabulary.append(text, kind_of(i, types))) {
      throw m_.error(ErrorCode::limit, key_tokens, "more than 4 GiB of text", "at most 4 GiB");
    }
  }
  if (const auto id = parts_.vocabulary.build_index()) {
    const bool twice = parts_.vocabulary.find(parts_.vocabulary.text(*id)).has_value();
    throw m_.error(
        twice ? ErrorCode::duplicate : ErrorCode::limit, key_tokens,
        item("token", static_cast<std::size_t>(*id)) + ": " + in_quotes(parts_.vocabulary.text(*id)),
        twice ? "each text once" : "texts that do not collide on purpose");
  }
}

// Files without types have byte tokens that look like them, and control tokens found by their keys.
TokenKind GgufTokenizer::kind_of(std::size_t id, const std::vector<std::int64_t>* types) const {
  const std::string_view text = (*tokens_)[id];
  if (!types) {
    const bool is_byte = !parts_.bpe.byte_level && parse_byte_token(text);
    return is_byte ? TokenKind::byte : TokenKind::normal;
  }
  const std::int64_t type = (*types)[id];
  if (type < 1 || type > 6) {
    throw m_.error(ErrorCode::out_of_range, key_types, item("token", id) + ": type " + std::to_string(type),
                   "1 to 6");
  }
  const auto kind = static_cast<TokenKind>(type);
  if (kind != TokenKind::byte) return kind;
  if (parts_.bpe.byte_level) return TokenKind::normal;
  if (!parse_byte_token(text)) {
    throw m_.error(ErrorCode::malformed, key_tokens, item("byte token", id) + ": " + in_quotes(text),
                   "<0x00> to <0xFF>");
  }
  return kind;
}

void GgufTokenizer::read_byte_level() {
  const std::string name = m_.text(key_pre, "default");
  const std::string_view pre = name;
  const PrePatterns* patterns = find_pre_patterns(pre);
  if (!patterns) throw m_.error(ErrorCode::unsupported, key_pre, in_quotes(pre), pre_pattern_names());
  const auto* entry = m_.find(key_pre);
  const Origin origin = {m_.source(), entry ? entry->position : std::string(), std::string(key_pre)};
  for (const std::string_view pattern : patterns->patterns) {
    parts_.pre_tokenizer.add({Pattern(pattern, origin, limits_)});
  }
  if (patterns->composes) parts_.normalizer.push_back({.kind = Rewrite::Kind::compose});
  parts_.bpe.ignore_merges = patterns->ignores_merges;
  parts_.bpe.find_byte_letters(parts_.vocabulary);
  read_merges();
  parts_.bos = token("tokenizer.ggml.bos_token_id");
  parts_.eos = token("tokenizer.ggml.eos_token_id");
  parts_.bpe.unknown = token("tokenizer.ggml.unknown_token_id");
  wrap(patterns->adds_bos && parts_.bos);
}

void GgufTokenizer::read_merges() {
  const auto* merges = m_.texts(key_merges);
  if (!merges) throw m_.error(ErrorCode::missing, key_merges, "no such key", "array of strings");
  parts_.bpe.merges.reserve(merges->size());
  for (std::size_t first = 0; first < merges->size(); first += merges_together) {
    read_merges(std::span(*merges).subspan(first, std::min(merges_together, merges->size() - first)), first);
  }
}

// Merges of rank `first` and on, each step of all of them before the next: what one would have to wait for
// from memory is there by then.
void GgufTokenizer::read_merges(std::span<const std::string> merges, std::size_t first) {
  const Vocabulary& vocabulary = parts_.vocabulary;
  const auto refuse = [&](std::size_t i, ErrorCode code, std::string_view allowed) {
    return m_.error(code, key_merges, item("merge", first + i) + ": " + in_quotes(merges[i]),
                    std::string(allowed));
  };
  std::array<MergeTexts, merges_together> texts;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    // A part is never empty, and the first may be a space itself.
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == merge.npos) throw refuse(i, ErrorCode::malformed, "two tokens with a space between");
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    texts[i] = {left, right, vocabulary.prepare(left), vocabulary.prepare(right)};
  }
  std::array<MergeTokens, merges_together> tokens;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right, left_hash, right_hash] = texts[i];
    const auto a = vocabulary.find(left, left_hash), b = vocabulary.find(right, right_hash);
    const auto result = find_result(left, right);
    if (!a || !b || !result) throw refuse(i, ErrorCode::malformed, "parts and result that are tokens");
    tokens[i] = {*a, *b, *result};
    parts_.bpe.merges.prepare(*a, *b);
  }
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right, result] = tokens[i];
    if (!parts_.bpe.merges.add(left, right, {static_cast<std::uint32_t>(first + i), result})) {
      throw refuse(i, ErrorCode::limit, "merges that do not collide on purpose");
    }
  }
}

// Most merges yield the token that the one before yielded, or the next.
std::optional<TokenId> GgufTokenizer::find_result(std::string_view left, std::string_view right) {
  joined_.assign(left).append(right);
  for (const TokenId likely : {last_result_, last_result_ + 1}) {
    if (parts_.vocabulary.contains(likely) && parts_.vocabulary.text(likely) == joined_)
      return last_result_ = likely;
  }
  const auto found = parts_.vocabulary.find(joined_);
  if (found) last_result_ = *found;
  return found;
}

void GgufTokenizer::read_sentencepiece() {
  const auto scores = m_.numbers(key_scores);
  if (!scores) throw m_.error(ErrorCode::missing, key_scores, "no such key", "array of numbers");
  if (scores->size() != tokens_->size()) {
    throw m_.error(ErrorCode::malformed, key_scores, std::to_string(scores->size()) + " scores",
                   "one for each of " + std::to_string(tokens_->size()) + " tokens");
  }
  const auto bad =
      std::find_if(scores->begin(), scores->end(), [](double score) { return std::isnan(score); });
  if (bad != scores->end()) {
    throw m_.error(ErrorCode::out_of_range, key_scores,
                   item("score", static_cast<std::size_t>(bad - scores->begin())) + ": NaN", "a number");
  }
  const auto known = [&](TokenId id) {
    return parts_.vocabulary.contains(id) ? std::optional(id) : std::nullopt;
  };
  parts_.bos = token("tokenizer.ggml.bos_token_id", known(1));
  parts_.eos = token("tokenizer.ggml.eos_token_id", known(2));
  parts_.bpe.unknown = token("tokenizer.ggml.unknown_token_id", known(0));
  if (!m_.has(key_types) && parts_.bpe.unknown) {
    parts_.vocabulary.set_kind(*parts_.bpe.unknown, TokenKind::unknown);
  }
  if (const auto absent = parts_.bpe.find_byte_tokens(parts_.vocabulary)) {
    throw m_.error(ErrorCode::missing, key_tokens, "no token for byte " + std::to_string(*absent),
                   "a token for each byte, or none and an unknown token");
  }
  wrap(true);
  parts_.bpe.rank_by_scores(parts_.vocabulary, *scores);
  parts_.normalizer.push_back({.kind = Rewrite::Kind::replace, .from = " ", .to = std::string(space_mark)});
  parts_.strips_space = m_.flag("tokenizer.ggml.add_space_prefix", true);
  if (parts_.strips_space) {
    parts_.prefixes.push_back({.kind = Rewrite::Kind::prepend, .to = std::string(space_mark)});
  }
}

// BOS and EOS around the text.
void GgufTokenizer::wrap(bool adds_bos) {
  const auto add = [&](std::string_view flag, bool absent, std::optional<TokenId> id,
                       std::vector<TokenId>& to) {
    if (!m_.flag(flag, absent)) return;
    if (!id) throw m_.error(ErrorCode::missing, flag, "no token to add", "the token's id");
    to.push_back(*id);
  };
  add("tokenizer.ggml.add_bos_token", adds_bos && parts_.bos, parts_.bos, parts_.before);
  add("tokenizer.ggml.add_eos_token", false, parts_.eos, parts_.after);
}

void GgufTokenizer::read_ends() {
  for (const auto id :
       {parts_.eos, token("tokenizer.ggml.eot_token_id"), token("tokenizer.ggml.eom_token_id")}) {
    if (id) parts_.ends.push_back(*id);
  }
  if (!m_.has(key_types)) {
    for (const auto id : {parts_.bos, parts_.eos}) {
      if (id) parts_.vocabulary.set_kind(*id, TokenKind::control);
    }
  }
  add_known_ends(parts_);
}

// Phi-3's added tokens swallow the white space behind them, which GGUF has no word for.
void GgufTokenizer::read_specials() {
  std::string name = m_.text("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool named = name.find("phi-3") != name.npos || name.find("phi3") != name.npos;
  // Phi-3.5 keeps architecture and tokenizer; Phi-4 keeps the former only.
  const bool phi3 = named || (!parts_.bpe.byte_level && m_.text("general.architecture", "") == "phi3");
  std::vector<SpecialToken> specials;
  for (TokenId id = 0; parts_.vocabulary.contains(id); ++id) {
    const TokenKind kind = parts_.vocabulary.kind(id);
    const std::string_view text = parts_.vocabulary.text(id);
    const bool control = kind == TokenKind::control || kind == TokenKind::unknown;
    if (text.empty() || !(control || kind == TokenKind::user_defined)) continue;
    if (text.size() > SpecialTokens::max_text) {
      throw m_.error(
          ErrorCode::limit, key_tokens,
          item("added token", static_cast<std::size_t>(id)) + ": " + std::to_string(text.size()) + " bytes",
          "at most " + std::to_string(SpecialTokens::max_text));
    }
    const bool strips = phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
    specials.push_back({.text = std::string(text), .id = id, .control = control, .strip_right = strips});
  }
  parts_.specials = SpecialTokens(std::move(specials));
}

// "tokenizer.chat_template" is the default, "tokenizer.chat_template.tool_use" has a name.
void GgufTokenizer::read_templates() {
  for (auto it = m_.entries().lower_bound(key_template); it != m_.entries().end(); ++it) {
    const std::string& key = it->first;
    if (!key.starts_with(key_template)) break;
    const std::string_view name = std::string_view(key).substr(key_template.size());
    if (!name.empty() && name[0] != '.') continue;  // tokenizer.chat_templates
    const std::string& source = m_.text(key);
    if (const auto bad = find_invalid_utf8(source)) {
      throw m_.error(ErrorCode::malformed, key, "bytes that are not UTF-8 at " + at_byte(*bad), "UTF-8");
    }
    parts_.chat_templates.emplace(name.empty() ? "default" : name.substr(1), source);
  }
}

// A key's token id. Keys that no step needs (padding, mask) are not even looked at.
std::optional<TokenId> GgufTokenizer::token(std::string_view key, std::optional<TokenId> absent) const {
  if (!m_.has(key)) return absent;
  const std::uint64_t id = m_.count(key);
  if (id == no_token) return std::nullopt;
  if (id >= parts_.vocabulary.size()) {
    throw m_.error(ErrorCode::out_of_range, key, std::to_string(id),
                   "below " + std::to_string(parts_.vocabulary.size()));
  }
  return static_cast<TokenId>(id);
}

}  // namespace

TokenizerParts read_gguf_tokenizer(const Metadata& metadata, const Limits& limits) {
  return GgufTokenizer(metadata, limits).read();
}

}  // namespace nibble::inline v0
