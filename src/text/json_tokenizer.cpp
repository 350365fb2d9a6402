// A tokenizer from tokenizer.json and the files beside it.
// One of the three loaders behind Tokenizer.
#include "src/text/json_tokenizer.hpp"

#include "nibble/file/byte_source.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::size_t max_templates = 64;

// Prompts are never cut here, whatever the file says; what it says must make sense all the same.
void check_truncation(const Json& truncation) {
  const Json length = truncation.at("max_length");
  if (length.count() == 0) throw length.error(ErrorCode::out_of_range, "0", "at least 1");
  const auto stride = present(truncation, "stride");
  if (stride && stride->count() >= length.count()) {
    throw stride->error(ErrorCode::out_of_range, std::to_string(stride->count()),
                        "below max_length, " + std::to_string(length.count()));
  }
}

std::string read_template(const std::filesystem::path& path, const Limits& limits) {
  const auto source = ByteSource::open(path, LoadMode::copy);
  const std::string_view text(reinterpret_cast<const char*>(source->bytes().data()), source->bytes().size());
  if (text.size() > limits.string_bytes) {
    throw Error({.code = ErrorCode::limit,
                 .source = source->name(),
                 .found = std::to_string(text.size()) + " bytes",
                 .allowed = "at most " + std::to_string(limits.string_bytes)});
  }
  if (const auto bad = find_invalid_utf8(text)) {
    throw Error({.code = ErrorCode::malformed,
                 .source = source->name(),
                 .position = at_byte(*bad),
                 .found = "bytes that are not UTF-8",
                 .allowed = "UTF-8"});
  }
  return std::string(text);
}

// The newest places for chat templates: files of their own, which replace all others.
void read_template_files(const std::filesystem::path& folder, const Limits& limits, TokenizerParts& parts) {
  std::map<std::string, std::string, std::less<>> found;
  std::error_code ignored;
  const std::filesystem::path own = folder / "chat_template.jinja";
  if (std::filesystem::exists(own, ignored)) found.emplace("default", read_template(own, limits));
  const std::filesystem::path more = folder / "additional_chat_templates";
  for (std::filesystem::directory_iterator it(more, ignored), end; it != end; it.increment(ignored)) {
    if (it->path().extension() != ".jinja") continue;
    if (found.size() == max_templates) {
      throw Error({.code = ErrorCode::limit,
                   .source = more.string(),
                   .found = "one more",
                   .allowed = "at most " + std::to_string(max_templates) + " templates"});
    }
    found.insert_or_assign(it->path().stem().string(), read_template(it->path(), limits));
  }
  if (!found.empty()) parts.chat_templates = std::move(found);
}

}  // namespace

std::optional<Json> present(const Json& object, std::string_view key) {
  const auto value = object.find(key);
  return value && !value->is(Json::Kind::null) ? value : std::nullopt;
}

bool flag(const Json& object, std::string_view key, bool absent) {
  const auto value = present(object, key);
  return value ? value->boolean() : absent;
}

Error unsupported(const Json& value, std::string_view allowed) {
  return value.error(ErrorCode::unsupported, value.describe(), std::string(allowed));
}

void check_steps(const Json& step, std::size_t n) {
  if (n >= max_steps) throw step.error(ErrorCode::limit, "one more", "at most " + std::to_string(max_steps));
}

void read_beside(const std::optional<Json>& config, const std::filesystem::path& generation,
                 const std::filesystem::path& folder, const Limits& limits, TokenizerParts& parts) {
  if (config) read_tokenizer_config(*config, parts);
  if (!generation.empty()) read_generation_config(read_json(generation, limits).root(), parts);
  read_template_files(folder, limits, parts);
  if (parts.eos) parts.ends.push_back(*parts.eos);
  add_known_ends(parts);
}

TokenizerParts read_json_tokenizer(const std::filesystem::path& tokenizer,
                                   const std::filesystem::path& config,
                                   const std::filesystem::path& generation, const Limits& limits) {
  TokenizerParts parts;
  parts.text_bytes = limits.text_bytes;
  const JsonDocument document = read_json(tokenizer, limits);
  const Json root = document.root();
  if (const auto normalizer = present(root, "normalizer")) read_normalizer(*normalizer, parts.normalizer);
  const auto pre_tokenizer = present(root, "pre_tokenizer");
  if (pre_tokenizer) read_pre_tokenizer(*pre_tokenizer, tokenizer.string(), limits, parts);
  read_model(root, limits, parts);
  if (const auto decoder = present(root, "decoder")) read_decoder(*decoder, parts);
  if (const auto post = present(root, "post_processor")) read_post_processor(*post, parts);
  if (const auto truncation = present(root, "truncation")) check_truncation(*truncation);
  if (!parts.before.empty()) parts.bos = parts.before.front();
  if (!parts.after.empty()) parts.eos = parts.after.back();
  std::optional<JsonDocument> beside;
  if (!config.empty()) beside = read_json(config, limits);
  read_beside(beside ? std::optional(beside->root()) : std::nullopt, generation, tokenizer.parent_path(),
              limits, parts);
  return parts;
}

}  // namespace nibble::inline v0
