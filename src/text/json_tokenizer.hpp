// The pieces of reading tokenizer.json and the files beside it, in the order they run.
// Inside the JSON loader; the whole is read_json_tokenizer.
#pragma once

#include "src/file/json.hpp"
#include "src/text/tokenizer_parts.hpp"

namespace nibble::inline v0 {

// A member that is there and not null.
std::optional<Json> present(const Json& object, std::string_view key);
bool flag(const Json& object, std::string_view key, bool absent);
// Error(unsupported) naming this value.
Error unsupported(const Json& value, std::string_view allowed);

// More normalizers, or more cuts, than any published tokenizer has: they run on every text.
inline constexpr std::size_t max_steps = 64;
void check_steps(const Json& step, std::size_t n);

// "model" and "added_tokens": the vocabulary, the merges, the special tokens. Needs bpe.byte_level.
void read_model(const Json& root, const Limits& limits, TokenizerParts& parts);

// An added token as tokenizer.json and tokenizer_config.json describe it, to be looked for in the text as it
// is or in what the normalizer made of it. Needs parts.vocabulary and parts.normalizer.
SpecialToken added_token(const Json& token, TokenId id, const TokenizerParts& parts, bool normalized);

// "normalizer" and "pre_tokenizer"; sets bpe.byte_level.
void read_normalizer(const Json& normalizer, std::vector<Rewrite>& rewrites);
void read_pre_tokenizer(const Json& pre_tokenizer, const std::string& source, const Limits& limits,
                        TokenizerParts& parts);
// "decoder": sets strips_space, refuses what decode() would not do.
void read_decoder(const Json& decoder, TokenizerParts& parts);
// "post_processor": fills before and after.
void read_post_processor(const Json& processor, TokenizerParts& parts);

// The files beside a tokenizer, once its own is read: tokenizer_config.json (`config`, if there is one),
// generation_config.json (its path may be empty), chat_template.jinja and additional_chat_templates/ in
// `folder`. Completes `ends`.
void read_beside(const std::optional<Json>& config, const std::filesystem::path& generation,
                 const std::filesystem::path& folder, const Limits& limits, TokenizerParts& parts);

// tokenizer_config.json: bos and eos, whether they are added, chat templates.
void read_tokenizer_config(const Json& config, TokenizerParts& parts);
// generation_config.json: more ends.
void read_generation_config(const Json& config, TokenizerParts& parts);

}  // namespace nibble::inline v0
