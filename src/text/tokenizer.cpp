// The public tokenizer: encode() runs the parts in order, decode() goes back from ids to text.
// Beside the model in the flow.
#include "nibble/text/tokenizer.hpp"

#include <algorithm>

#include "src/text/byte_alphabet.hpp"
#include "src/text/tokenizer_parts.hpp"

namespace nibble::inline v0 {

struct Tokenizer::State : TokenizerParts {
  const Vocabulary& known(TokenId id) const {
    if (vocabulary.contains(id)) return vocabulary;
    throw Error({.code = ErrorCode::out_of_range,
                 .source = "tokenizer",
                 .field = "token id",
                 .found = std::to_string(id),
                 .allowed = "0 to " + std::to_string(std::int64_t{vocabulary.size()} - 1)});
  }
  void append_bytes(TokenId id, bool show_special, std::string& out) const;
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
};

namespace {

std::string spaces_for_marks(std::string_view text) {
  std::string out;
  for (std::size_t at; (at = text.find(space_mark)) != text.npos;
       text.remove_prefix(at + space_mark.size())) {
    out += text.substr(0, at);
    out += ' ';
  }
  return out += text;
}

void check_text(std::string_view text, std::uint64_t limit) {
  if (text.size() > limit) {
    throw Error({.code = ErrorCode::limit,
                 .source = "encode",
                 .field = "text",
                 .found = std::to_string(text.size()) + " bytes",
                 .allowed = "at most " + std::to_string(limit)});
  }
  if (const auto bad = find_invalid_utf8(text)) {
    throw Error({.code = ErrorCode::invalid_argument,
                 .source = "encode",
                 .position = at_byte(*bad),
                 .field = "text",
                 .found = "bytes that are not UTF-8",
                 .allowed = "valid UTF-8"});
  }
}

void check_ranges(std::span<const ByteRange> ranges, std::size_t size) {
  std::size_t before = 0;
  for (const ByteRange& range : ranges) {
    if (range.begin < before || range.end < range.begin || range.end > size) {
      throw Error({.code = ErrorCode::invalid_argument,
                   .source = "encode",
                   .position = at_byte(range.begin),
                   .field = "plain",
                   .found = "a range up to byte " + std::to_string(range.end),
                   .allowed = "ascending ranges within the text"});
    }
    before = range.end;
  }
}

// What one call of encode() works with.
class Encoding {
 public:
  Encoding(const TokenizerParts& parts, std::size_t text_bytes)
      : parts_(parts), cutter_(parts.pre_tokenizer, text_bytes) {
    ids.reserve(text_bytes / 4 + parts.before.size() + parts.after.size());
  }

  std::vector<TokenId> ids;

  void add_text(std::string_view text, bool parse_control, std::span<const ByteRange> plain) {
    for (const Fragment& raw : parts_.specials.split(text, parse_control, plain)) {
      if (raw.token) {
        ids.push_back(*raw.token);
        continue;
      }
      const auto begin = static_cast<std::size_t>(raw.text.data() - text.data());
      if (parse_control && !parts_.normalized_specials.empty()) {
        add_in_parts(text, {begin, begin + raw.text.size()}, plain);
      } else {
        add_raw(raw.text, begin == 0, parse_control);
      }
    }
  }

 private:
  // A fragment in which the normalized text is searched too: where a plain range would become a control
  // token, the fragment is cut at the range's ends; elsewhere it stays whole, for tokens do not depend on
  // plain ranges.
  void add_in_parts(std::string_view text, ByteRange fragment, std::span<const ByteRange> plain) {
    const auto part = [&](std::size_t end) {
      end = std::min(end, fragment.end);
      return text.substr(fragment.begin, end - fragment.begin);
    };
    for (const ByteRange& range : plain) {
      if (range.end <= fragment.begin || range.begin >= fragment.end) continue;
      const std::size_t begin = std::max(range.begin, fragment.begin),
                        end = std::min(range.end, fragment.end);
      if (!spells_control(text.substr(begin, end - begin))) continue;
      if (begin > fragment.begin) add_raw(part(begin), fragment.begin == 0, true);
      fragment.begin = begin;
      add_raw(part(end), begin == 0, false);
      fragment.begin = end;
    }
    if (fragment.begin < fragment.end) add_raw(part(fragment.end), fragment.begin == 0, true);
  }

  bool spells_control(std::string_view text) {
    const std::string_view normalized = rewrite(parts_.normalizer, text, false, normalized_);
    const std::vector<Fragment> found = parts_.normalized_specials.split(normalized, true);
    return std::any_of(found.begin(), found.end(), [&](const Fragment& f) {
      return f.token && parts_.vocabulary.kind(*f.token) != TokenKind::user_defined;
    });
  }

  void add_raw(std::string_view text, bool first, bool parse_control) {
    add_normalized(rewrite(parts_.normalizer, text, first, normalized_), first, parse_control);
  }

  void add_normalized(std::string_view text, bool first, bool parse_control) {
    for (const Fragment& part : parts_.normalized_specials.split(text, parse_control)) {
      if (part.token) {
        ids.push_back(*part.token);
        continue;
      }
      const bool at_beginning = first && part.text.data() == text.data();
      const std::string_view prefixed = rewrite(parts_.prefixes, part.text, at_beginning, prefixed_);
      cutter_.cut(prefixed,
                  [&](std::string_view piece) { parts_.bpe.encode(parts_.vocabulary, piece, work_, ids); });
    }
  }

  const TokenizerParts& parts_;
  PreTokenizer::Cutter cutter_;
  Bpe::Work work_;
  std::string normalized_, prefixed_;
};

}  // namespace

std::vector<TokenId> Tokenizer::State::encode(std::string_view text, const EncodeOptions& options) const {
  check_text(text, text_bytes);
  check_ranges(options.plain, text.size());
  Encoding encoding(*this, text.size());
  if (options.add_special) encoding.ids = before;
  encoding.add_text(text, options.parse_special, options.plain);
  if (options.add_special) encoding.ids.insert(encoding.ids.end(), after.begin(), after.end());
  return std::move(encoding.ids);
}

void Tokenizer::State::append_bytes(TokenId id, bool show_special, std::string& out) const {
  const std::string_view text = known(id).text(id);
  const TokenKind kind = vocabulary.kind(id);
  if (kind == TokenKind::control || kind == TokenKind::unknown) {
    if (show_special) out += text;
  } else if (kind == TokenKind::byte) {
    out += static_cast<char>(*parse_byte_token(text));
  } else if (!bpe.byte_level) {
    out += spaces_for_marks(text);
  } else {
    out += kind == TokenKind::user_defined ? std::string(text) : bytes_from_alphabet(text);
  }
}

Tokenizer Tokenizer::from_gguf(const Metadata& metadata, const Limits& limits) {
  return translate_errors(
      [&] { return Tokenizer(std::make_shared<State>(State{read_gguf_tokenizer(metadata, limits)})); });
}

Tokenizer Tokenizer::from_json(const std::filesystem::path& tokenizer, const std::filesystem::path& config,
                               const std::filesystem::path& generation, const Limits& limits) {
  return translate_errors([&] {
    return Tokenizer(
        std::make_shared<State>(State{read_json_tokenizer(tokenizer, config, generation, limits)}));
  });
}

Tokenizer Tokenizer::from_sentencepiece(const std::filesystem::path& model,
                                        const std::filesystem::path& config,
                                        const std::filesystem::path& generation, const Limits& limits) {
  return translate_errors([&] {
    return Tokenizer(std::make_shared<State>(State{read_sentencepiece(model, config, generation, limits)}));
  });
}

namespace {

// The first of these files that the folder has, or nothing.
std::filesystem::path first_of(const std::filesystem::path& folder,
                               std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::error_code ignored;  // a file that cannot be asked about is refused when it is opened
    auto path = folder / name;
    if (std::filesystem::status(path, ignored).type() != std::filesystem::file_type::not_found) return path;
  }
  return {};
}

}  // namespace

Tokenizer Tokenizer::open(const std::filesystem::path& path, const Limits& limits) {
  return translate_errors([&] {
    std::error_code ignored;
    const bool is_folder = path.empty() || std::filesystem::is_directory(path, ignored);
    const auto file = is_folder ? first_of(path, {"tokenizer.json", "tokenizer.model"}) : path;
    if (file.empty()) {
      throw Error({.code = ErrorCode::missing,
                   .source = path.string(),
                   .field = "tokenizer.json",
                   .found = "no such file, nor tokenizer.model",
                   .allowed = "one of them beside the model"});
    }
    const auto folder = file.parent_path();
    const auto config = first_of(folder, {"tokenizer_config.json"});
    const auto generation = first_of(folder, {"generation_config.json", "config.json"});
    return file.extension() == ".json" ? from_json(file, config, generation, limits)
                                       : from_sentencepiece(file, config, generation, limits);
  });
}

Tokenizer Tokenizer::load(const Checkpoint& checkpoint, const Limits& limits) {
  return checkpoint.container == Container::gguf ? from_gguf(checkpoint.metadata, limits)
                                                 : open(checkpoint.folder, limits);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return translate_errors([&] { return state_->encode(text, options); });
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool show_special) const {
  return translate_errors([&] {
    TextStream stream(*this, show_special);
    std::string text;
    for (const TokenId id : ids) text += stream.push(id);
    return text += stream.finish();
  });
}

std::string Tokenizer::bytes(TokenId id, bool show_special) const {
  return translate_errors([&] {
    std::string out;
    state_->append_bytes(id, show_special, out);
    return out;
  });
}

std::uint32_t Tokenizer::size() const noexcept { return state_->vocabulary.size(); }
std::string_view Tokenizer::text(TokenId id) const { return state_->known(id).text(id); }
TokenKind Tokenizer::kind(TokenId id) const { return state_->known(id).kind(id); }
std::optional<TokenId> Tokenizer::find(std::string_view text) const noexcept {
  return state_->vocabulary.find(text);
}
std::optional<TokenId> Tokenizer::bos() const noexcept { return state_->bos; }
std::optional<TokenId> Tokenizer::eos() const noexcept { return state_->eos; }
bool Tokenizer::adds_bos() const noexcept {
  const auto& before = state_->before;
  return state_->bos && std::find(before.begin(), before.end(), *state_->bos) != before.end();
}
bool Tokenizer::adds_space_prefix() const noexcept { return state_->strips_space; }
bool Tokenizer::is_end(TokenId id) const noexcept {
  return std::binary_search(state_->ends.begin(), state_->ends.end(), id);
}
std::span<const TokenId> Tokenizer::ends() const noexcept { return state_->ends; }
const std::map<std::string, std::string, std::less<>>& Tokenizer::chat_templates() const noexcept {
  return state_->chat_templates;
}

}  // namespace nibble::inline v0
