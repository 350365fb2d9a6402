// Text to token ids and back, exactly as the model's makers do it: SPM-BPE and byte-level BPE.
// Beside the model in the flow: prompts go in through it, generated tokens come out through it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/core/limits.hpp"
#include "nibble/file/checkpoint.hpp"

namespace nibble::inline v0 {

using TokenId = std::int32_t;

enum class TokenKind : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

// Bytes of a text from `begin` up to `end`.
struct ByteRange {
  std::size_t begin = 0, end = 0;
  bool operator==(const ByteRange&) const = default;
};

struct EncodeOptions {
  bool add_special = true;     // BOS/EOS where the model wants them
  bool parse_special = false;  // text that spells a control token becomes it; false keeps user text harmless
  // Ranges in which, and across whose ends, it does not: ascending, apart, within the text.
  std::span<const ByteRange> plain = {};
};

// Immutable; cheap to copy; safe to use from any thread.
class NIBBLE_API Tokenizer {
 public:
  // From GGUF metadata, or from the folder beside safetensors as open() does. Errors of all of these: io,
  // truncated, missing, wrong_type, out_of_range, duplicate, malformed, unsupported, limit; positioned.
  static Tokenizer load(const Checkpoint& checkpoint, const Limits& limits = {});
  // A tokenizer.json, a tokenizer.model, or a folder with one of them (the former where it has both), and
  // what lies beside it: tokenizer_config.json, generation_config.json (or else config.json),
  // chat_template.jinja, additional_chat_templates/.
  static Tokenizer open(const std::filesystem::path& path, const Limits& limits = {});
  static Tokenizer from_gguf(const Metadata& metadata, const Limits& limits = {});
  // `config` and `generation` may be empty paths.
  static Tokenizer from_json(const std::filesystem::path& tokenizer, const std::filesystem::path& config = {},
                             const std::filesystem::path& generation = {}, const Limits& limits = {});
  // SentencePiece's own file, of the BPE kind: tokenizer.model.
  static Tokenizer from_sentencepiece(const std::filesystem::path& model,
                                      const std::filesystem::path& config = {},
                                      const std::filesystem::path& generation = {},
                                      const Limits& limits = {});

  std::uint32_t size() const noexcept;  // tokens
  // Errors: invalid_argument (text that is not UTF-8, at its byte; ranges in another order), limit (longer
  // than text_bytes).
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // All bytes of the ids, the space prefix removed; invalid UTF-8 becomes U+FFFD. Control tokens appear only
  // on request. Errors: out_of_range (an id outside the vocabulary).
  std::string decode(std::span<const TokenId> ids, bool show_special = false) const;
  // The raw bytes that one token contributes, unstripped; may be part of a character.
  std::string bytes(TokenId id, bool show_special = false) const;

  // The token's text as stored in the vocabulary ("▁the", "Ġthe", "<0x0A>").
  std::string_view text(TokenId id) const;
  TokenKind kind(TokenId id) const;
  // The id whose stored text this is.
  std::optional<TokenId> find(std::string_view text) const noexcept;
  std::optional<TokenId> bos() const noexcept;
  std::optional<TokenId> eos() const noexcept;
  bool adds_bos() const noexcept;
  bool adds_space_prefix() const noexcept;
  // Tokens that end a generation: eos, eot, eom and the known end-of-turn texts of the vocabulary.
  bool is_end(TokenId id) const noexcept;
  std::span<const TokenId> ends() const noexcept;
  // The chat templates' sources by name: "default", and some models have "tool_use" or others; rendered by
  // text/chat_template.hpp.
  const std::map<std::string, std::string, std::less<>>& chat_templates() const noexcept;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) noexcept : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// Decodes a stream of tokens and only ever hands out whole characters.
class NIBBLE_API TextStream {
 public:
  explicit TextStream(Tokenizer tokenizer, bool show_special = false);
  // `continues`: text precedes the first token, so that its space is kept.
  void reset(bool continues);
  // The text that became complete with this token; may be empty.
  std::string push(TokenId id);
  // What was held back, as U+FFFD where it is no character.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool show_special_;
  bool at_start_ = true;
  std::string held_;  // an incomplete character, at most 3 bytes
};

// `text` with every maximal invalid sequence replaced by U+FFFD (Unicode 15, section 3.9, substitution of
// maximal subparts).
NIBBLE_API std::string repair_utf8(std::string_view text);
// The byte offset of the first invalid sequence, or nothing.
NIBBLE_API std::optional<std::size_t> find_invalid_utf8(std::string_view text) noexcept;

}  // namespace nibble::inline v0
