// A tokenizer from tokenizer.model, SentencePiece's own file, and the JSON files beside it.
// One of the three loaders behind Tokenizer.
#include "src/text/sentencepiece_model.hpp"

#include <algorithm>
#include <charconv>

#include "src/file/in_quotes.hpp"
#include "src/text/json_tokenizer.hpp"

namespace nibble::inline v0 {

namespace {

class SentencePieceTokenizer {
 public:
  SentencePieceTokenizer(const ByteSource& file, const std::optional<Json>& config, const Limits& limits)
      : file_(file), config_(config), limits_(limits), model_(read_sentencepiece_model(file, limits)) {}

  TokenizerParts read() {
    parts_.text_bytes = limits_.text_bytes;
    read_normalizer();
    read_vocabulary();
    read_merges();
    read_specials();
    parts_.bos = model_.bos;
    parts_.eos = model_.eos;
    // What the models with such a file want, unless their configuration says otherwise.
    if (model_.bos) parts_.before = {*model_.bos};
    return std::move(parts_);
  }

 private:
  struct Added {
    TokenId id;
    Json token;
  };

  void read_normalizer();
  void read_vocabulary();
  void collect_added();
  void append(const Added& added);
  void read_merges();
  void read_specials();

  const ByteSource& file_;
  const std::optional<Json>& config_;
  const Limits& limits_;
  SentencePieceModel model_;
  TokenizerParts parts_;
  std::vector<Added> added_;  // sorted by id
};

// User-defined pieces are found in what this makes of a text, so that the prefix belongs to it.
void SentencePieceTokenizer::read_normalizer() {
  const std::string mark(space_mark);
  parts_.strips_space = model_.adds_prefix;
  if (model_.adds_prefix) {
    // Older configurations put one behind every added token, too.
    const bool legacy = !config_ || flag(*config_, "legacy", true);
    parts_.normalizer.push_back({.kind = Rewrite::Kind::prepend, .to = mark, .only_at_beginning = !legacy});
  }
  parts_.normalizer.push_back({.kind = Rewrite::Kind::replace, .from = " ", .to = mark});
}

void SentencePieceTokenizer::read_vocabulary() {
  Vocabulary& vocabulary = parts_.vocabulary;
  for (const auto& piece : model_.pieces) vocabulary.append(piece.text, piece.kind);
  collect_added();
  for (const Added& added : added_) append(added);
  const auto clash = vocabulary.build_index();
  if (!clash) return;
  const bool twice = vocabulary.find(vocabulary.text(*clash)).has_value();
  const ErrorCode code = twice ? ErrorCode::duplicate : ErrorCode::limit;
  const char* const allowed = twice ? "each text once" : "texts that do not collide on purpose";
  const auto id = static_cast<std::size_t>(*clash);
  if (id < model_.pieces.size()) {
    throw Error({.code = code,
                 .source = file_.name(),
                 .position = at_byte(model_.pieces[id].offset),
                 .field = "piece",
                 .found = in_quotes(vocabulary.text(*clash)),
                 .allowed = allowed});
  }
  const auto added =
      std::find_if(added_.begin(), added_.end(), [&](const Added& a) { return a.id == *clash; });
  throw added->token.error(code, in_quotes(vocabulary.text(*clash)), allowed);
}

// "added_tokens_decoder": {"32000": {"content": "<|end|>", ...}}
void SentencePieceTokenizer::collect_added() {
  const auto tokens = config_ ? present(*config_, "added_tokens_decoder") : std::nullopt;
  if (!tokens) return;
  for (const Json token : *tokens) {
    const std::string_view key = token.key();
    TokenId id = -1;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failure != std::errc() || end != key.data() + key.size() || id < 0) {
      throw token.error(ErrorCode::malformed, in_quotes(key), "a token id");
    }
    if (static_cast<std::uint32_t>(id) >= limits_.vocabulary) {
      throw token.error(ErrorCode::limit, std::string(key), "below " + std::to_string(limits_.vocabulary));
    }
    added_.push_back({id, token});
  }
  std::stable_sort(added_.begin(), added_.end(), [](const Added& a, const Added& b) { return a.id < b.id; });
}

// Those that are pieces already only change their kind.
void SentencePieceTokenizer::append(const Added& added) {
  Vocabulary& vocabulary = parts_.vocabulary;
  const Json content = added.token.at("content");
  if (content.string().empty()) throw content.error(ErrorCode::malformed, "\"\"", "a text");
  const TokenKind kind = flag(added.token, "special", false) ? TokenKind::control : TokenKind::user_defined;
  while (vocabulary.size() < static_cast<std::uint32_t>(added.id)) vocabulary.append({}, TokenKind::unused);
  if (!vocabulary.contains(added.id)) {
    vocabulary.append(content.string(), kind);
  } else if (vocabulary.text(added.id) != content.string()) {
    throw content.error(
        ErrorCode::duplicate,
        "id " + std::to_string(added.id) + ", which is " + in_quotes(vocabulary.text(added.id)),
        "each id once");
  } else if (vocabulary.kind(added.id) != TokenKind::unknown) {
    vocabulary.set_kind(added.id, kind);
  }
}

void SentencePieceTokenizer::read_merges() {
  Bpe& bpe = parts_.bpe;
  bpe.unknown = model_.unknown;
  bpe.fuse_unknown = true;
  if (const auto absent = bpe.find_byte_tokens(parts_.vocabulary)) {
    throw Error({.code = ErrorCode::missing,
                 .source = file_.name(),
                 .field = "pieces",
                 .found = "no token for byte " + std::to_string(*absent),
                 .allowed = "a token for each byte, or none and an unknown token"});
  }
  std::vector<double> scores;
  for (const auto& piece : model_.pieces) scores.push_back(piece.score);
  bpe.rank_by_scores(parts_.vocabulary, scores);
}

// Control and added tokens are found in the text as it is, user-defined pieces in the normalized one.
void SentencePieceTokenizer::read_specials() {
  std::vector<SpecialToken> raw, normalized;
  for (const Added& added : added_) raw.push_back(added_token(added.token, added.id, parts_, false));
  const auto is_added = [&](TokenId id) {
    const auto at = std::lower_bound(added_.begin(), added_.end(), id,
                                     [](const Added& added, TokenId wanted) { return added.id < wanted; });
    return at != added_.end() && at->id == id;
  };
  for (std::size_t i = 0; i < model_.pieces.size(); ++i) {
    const auto& piece = model_.pieces[i];
    const auto id = static_cast<TokenId>(i);
    const bool control = piece.kind == TokenKind::control || piece.kind == TokenKind::unknown;
    if (is_added(id) || !(control || piece.kind == TokenKind::user_defined)) continue;
    if (piece.text.size() > SpecialTokens::max_text) {
      throw Error({.code = ErrorCode::limit,
                   .source = file_.name(),
                   .position = at_byte(piece.offset),
                   .field = "piece",
                   .found = std::to_string(piece.text.size()) + " bytes",
                   .allowed = "at most " + std::to_string(SpecialTokens::max_text)});
    }
    (control ? raw : normalized).push_back({.text = std::string(piece.text), .id = id, .control = control});
  }
  parts_.specials = SpecialTokens(std::move(raw));
  parts_.normalized_specials = SpecialTokens(std::move(normalized));
}

}  // namespace

TokenizerParts read_sentencepiece(const std::filesystem::path& model, const std::filesystem::path& config,
                                  const std::filesystem::path& generation, const Limits& limits) {
  const auto file = ByteSource::open(model);
  std::optional<JsonDocument> document;
  if (!config.empty()) document = read_json(config, limits);
  const std::optional<Json> beside = document ? std::optional(document->root()) : std::nullopt;
  TokenizerParts parts = SentencePieceTokenizer(*file, beside, limits).read();
  read_beside(beside, generation, model.parent_path(), limits, parts);
  return parts;
}

}  // namespace nibble::inline v0
