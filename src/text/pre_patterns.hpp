// The pre-tokenizers that files call by name, as their makers' patterns.
// Read by the GGUF loader; the JSON loader asks which patterns are known to be harmless.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nibble::inline v0 {

struct PrePatterns {
  std::string_view name;                       // tokenizer.ggml.pre
  std::span<const std::string_view> patterns;  // applied in order, each to what the one before left whole
  bool adds_bos = false;                       // where the file does not say
  bool ignores_merges = false;                 // a piece that is a token is that token
  bool composes = false;                       // NFC first
};

// Null for a name this build does not know.
const PrePatterns* find_pre_patterns(std::string_view name) noexcept;
// All names, for errors.
std::string pre_pattern_names();

// One of the table's patterns, or one as simple: known to take linear time.
bool is_known_pattern(std::string_view pattern) noexcept;

// `\s+$` tries every start in a run of white space; the same matches in linear time:
inline constexpr std::string_view white_space_at_end = R"(\s+$)";
inline constexpr std::string_view white_space_at_end_linear = R"((?<!\s)\s+$)";

// What ByteLevel with use_regex splits by.
extern const std::string_view gpt2_pattern;

}  // namespace nibble::inline v0
