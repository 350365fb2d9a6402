// tokenizer_config.json and generation_config.json: BOS, EOS, ends, chat templates.
// Inside the JSON loader.
#include <algorithm>

#include "src/text/json_tokenizer.hpp"

namespace nibble::inline v0 {

namespace {

// "<s>" or {"content": "<s>", ...}. A text that is no token counts as absent: nothing can produce it.
std::optional<TokenId> token_of(const Json& config, std::string_view key, const Vocabulary& vocabulary) {
  const auto value = present(config, key);
  if (!value) return std::nullopt;
  const Json text = value->is(Json::Kind::object) ? value->at("content") : *value;
  return vocabulary.find(text.string());
}

// add_bos_token and add_eos_token overrule tokenizer.json.
void override_added(const Json& config, std::string_view key, std::optional<TokenId> id, bool in_front,
                    std::vector<TokenId>& ids) {
  const auto adds = present(config, key);
  if (!adds) return;
  const bool is_there = id && std::find(ids.begin(), ids.end(), *id) != ids.end();
  if (!adds->boolean()) {
    if (id) std::erase(ids, *id);
  } else if (!id) {
    throw adds->error(ErrorCode::missing, "no token to add", "the token's text");
  } else if (!is_there) {
    ids.insert(in_front ? ids.begin() : ids.end(), *id);
  }
}

// A text, or a list of named ones.
void read_templates(const Json& value, TokenizerParts& parts) {
  if (value.is(Json::Kind::string)) {
    parts.chat_templates.emplace("default", value.string());
    return;
  }
  for (const Json item : value)
    parts.chat_templates.insert_or_assign(std::string(item.at("name").string()),
                                          item.at("template").string());
}

void add_end(const Json& id, TokenizerParts& parts) {
  if (id.count() >= parts.vocabulary.size()) {
    throw id.error(ErrorCode::out_of_range, id.describe(),
                   "below " + std::to_string(parts.vocabulary.size()));
  }
  parts.ends.push_back(static_cast<TokenId>(id.count()));
}

}  // namespace

void read_tokenizer_config(const Json& config, TokenizerParts& parts) {
  if (const auto bos = token_of(config, "bos_token", parts.vocabulary)) parts.bos = bos;
  if (const auto eos = token_of(config, "eos_token", parts.vocabulary)) parts.eos = eos;
  override_added(config, "add_bos_token", parts.bos, true, parts.before);
  override_added(config, "add_eos_token", parts.eos, false, parts.after);
  if (const auto chat = present(config, "chat_template")) read_templates(*chat, parts);
}

void read_generation_config(const Json& config, TokenizerParts& parts) {
  const auto ends = present(config, "eos_token_id");
  if (!ends) return;
  if (ends->is(Json::Kind::array)) {
    for (const Json id : *ends) add_end(id, parts);
  } else {
    add_end(*ends, parts);
  }
  if (!parts.eos && !parts.ends.empty()) parts.eos = parts.ends.front();
}

}  // namespace nibble::inline v0
