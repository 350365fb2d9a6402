// "model" and "added_tokens" of tokenizer.json: vocabulary, merges, special tokens.
// Inside the JSON loader.
#include <algorithm>

#include "src/file/in_quotes.hpp"
#include "src/text/json_tokenizer.hpp"

namespace nibble::inline v0 {

namespace {

class ModelReader {
 public:
  ModelReader(const Json& root, const Limits& limits, TokenizerParts& parts)
      : root_(root), model_(root.at("model")), limits_(limits), parts_(parts) {}

  void read() {
    check_options();
    read_vocabulary();
    read_unknown();
    read_byte_tokens();
    read_merges();
    read_specials();
    parts_.bpe.cuts_at_spaces =
        !parts_.bpe.byte_level && !parts_.bpe.ignore_merges && words_stand_alone(parts_.vocabulary);
  }

 private:
  struct Entry {
    TokenId id;
    std::string_view text;
    TokenKind kind;
    Json place;
  };

  void check_options();
  void read_vocabulary();
  void collect(Json id, std::string_view text, TokenKind kind);
  void collect_added();
  void read_unknown();
  void read_byte_tokens();
  void read_merges();
  void add_merge(std::uint32_t rank, Json merge);
  void read_specials();

  Json root_, model_;
  const Limits& limits_;
  TokenizerParts& parts_;
  std::vector<Entry> entries_;
};

// Older files leave "type" out.
void ModelReader::check_options() {
  const auto type = present(model_, "type");
  if (type && type->string() != "BPE") throw unsupported(*type, "\"BPE\"");
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto value = present(model_, key);
    if (value && !value->string().empty()) throw unsupported(*value, "none");
  }
  const auto dropout = present(model_, "dropout");
  if (dropout && dropout->number() != 0) throw unsupported(*dropout, "none");
  parts_.bpe.ignore_merges = flag(model_, "ignore_merges", false);
  parts_.bpe.fuse_unknown = flag(model_, "fuse_unk", false);
}

void ModelReader::collect(Json id, std::string_view text, TokenKind kind) {
  const std::uint64_t value = id.count();
  if (value >= limits_.vocabulary) {
    throw id.error(ErrorCode::limit, std::to_string(value), "below " + std::to_string(limits_.vocabulary));
  }
  entries_.push_back({static_cast<TokenId>(value), text, kind, id});
}

// Those that are in the vocabulary already only change their kind there.
void ModelReader::collect_added() {
  const auto added = present(root_, "added_tokens");
  if (!added) return;
  for (const Json token : *added) {
    const Json content = token.at("content");
    if (content.string().empty()) throw content.error(ErrorCode::malformed, "\"\"", "a text");
    const TokenKind kind = flag(token, "special", false) ? TokenKind::control : TokenKind::user_defined;
    collect(token.at("id"), content.string(), kind);
  }
}

void ModelReader::read_vocabulary() {
  for (const Json token : model_.at("vocab")) collect(token, token.key(), TokenKind::normal);
  collect_added();
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  Vocabulary& vocabulary = parts_.vocabulary;
  for (const Entry& entry : entries_) {
    if (vocabulary.contains(entry.id)) {
      if (vocabulary.text(entry.id) != entry.text) {
        throw entry.place.error(
            ErrorCode::duplicate,
            std::to_string(entry.id) + ", which is " + in_quotes(vocabulary.text(entry.id)), "each id once");
      }
      vocabulary.set_kind(entry.id, entry.kind);
      continue;
    }
    while (vocabulary.size() < static_cast<std::uint32_t>(entry.id)) vocabulary.append({}, TokenKind::unused);
    vocabulary.append(entry.text, entry.kind);
  }
  const auto clash = vocabulary.build_index();
  if (!clash) return;
  const bool twice = vocabulary.find(vocabulary.text(*clash)).has_value();
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.id == *clash; });
  throw entry->place.error(twice ? ErrorCode::duplicate : ErrorCode::limit, in_quotes(entry->text),
                           twice ? "one id for each text" : "texts that do not collide on purpose");
}

void ModelReader::read_unknown() {
  const auto unknown = present(model_, "unk_token");
  if (!unknown || unknown->string().empty()) return;
  parts_.bpe.unknown = parts_.vocabulary.find(unknown->string());
  if (!parts_.bpe.unknown) throw unknown->error(ErrorCode::missing, unknown->describe(), "a token");
  parts_.vocabulary.set_kind(*parts_.bpe.unknown, TokenKind::unknown);
}

void ModelReader::read_byte_tokens() {
  if (parts_.bpe.byte_level) return parts_.bpe.find_byte_letters(parts_.vocabulary);
  if (!flag(model_, "byte_fallback", false)) return;
  for (TokenId id = 0; parts_.vocabulary.contains(id); ++id) {
    if (parse_byte_token(parts_.vocabulary.text(id))) parts_.vocabulary.set_kind(id, TokenKind::byte);
  }
  if (const auto absent = parts_.bpe.find_byte_tokens(parts_.vocabulary)) {
    throw model_.at("byte_fallback")
        .error(ErrorCode::missing, "no token for byte " + std::to_string(*absent),
               "a token for each byte, or none and an unknown token");
  }
}

void ModelReader::read_merges() {
  const Json merges = model_.at("merges");
  parts_.bpe.merges.reserve(merges.size());
  std::uint32_t rank = 0;
  for (const Json merge : merges) add_merge(rank++, merge);
}

// "A B" or ["A", "B"].
void ModelReader::add_merge(std::uint32_t rank, Json merge) {
  std::string_view left, right;
  if (merge.is(Json::Kind::array)) {
    if (merge.size() != 2) throw merge.error(ErrorCode::malformed, merge.describe(), "two tokens");
    auto part = merge.begin();
    left = (*part).string();
    right = (*++part).string();
  } else {
    const std::string_view text = merge.string();
    const std::size_t space = text.find(' ', 1);
    if (space == text.npos) throw merge.error(ErrorCode::malformed, merge.describe(), "\"A B\"");
    left = text.substr(0, space);
    right = text.substr(space + 1);
  }
  const Vocabulary& vocabulary = parts_.vocabulary;
  const auto a = vocabulary.find(left), b = vocabulary.find(right);
  const auto result = vocabulary.find(std::string(left).append(right));
  if (!a || !b || !result) {
    throw merge.error(ErrorCode::malformed, merge.describe(), "parts and result that are tokens");
  }
  if (!parts_.bpe.merges.add(*a, *b, {rank, *result})) {
    throw merge.error(ErrorCode::limit, merge.describe(), "merges that do not collide on purpose");
  }
}

void ModelReader::read_specials() {
  const auto added = present(root_, "added_tokens");
  if (!added) return;
  std::vector<SpecialToken> raw, normalized;
  for (const Json token : *added) {
    const TokenId id = *parts_.vocabulary.find(token.at("content").string());
    const bool in_normalized = flag(token, "normalized", !flag(token, "special", false));
    (in_normalized ? normalized : raw).push_back(added_token(token, id, parts_, in_normalized));
  }
  parts_.specials = SpecialTokens(std::move(raw));
  parts_.normalized_specials = SpecialTokens(std::move(normalized));
}

}  // namespace

SpecialToken added_token(const Json& token, TokenId id, const TokenizerParts& parts, bool normalized) {
  const Json content = token.at("content");
  SpecialToken special = {.text = std::string(content.string()),
                          .id = id,
                          .control = parts.vocabulary.kind(id) != TokenKind::user_defined,
                          .strip_left = flag(token, "lstrip", false),
                          .strip_right = flag(token, "rstrip", false),
                          .whole_word = flag(token, "single_word", false)};
  if (normalized) {
    std::string storage;
    special.text = rewrite(parts.normalizer, special.text, true, storage);
  }
  if (special.text.empty() || special.text.size() > SpecialTokens::max_text) {
    throw content.error(ErrorCode::limit, std::to_string(special.text.size()) + " bytes",
                        "1 to " + std::to_string(SpecialTokens::max_text));
  }
  return special;
}

void read_model(const Json& root, const Limits& limits, TokenizerParts& parts) {
  ModelReader(root, limits, parts).read();
}

}  // namespace nibble::inline v0
