// The regular expressions that tokenizer files may use, and the same in PCRE2's words.
// Between a pre-tokenizer's pattern as its makers wrote it and text/pattern.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nibble::inline v0 {

struct PatternSyntax {
  std::string pcre2;                   // the translation, where there is one
  std::optional<std::size_t> refused;  // else the byte of the first construct that is not supported
};

// Tokenizer files are written for Oniguruma. What means the same there and in PCRE2 is kept, \s \d \w become
// the Unicode classes that Oniguruma takes them for, and what the two read differently or what no tokenizer
// needs (back references, recursion, verbs, named groups, classes within classes) is refused.
PatternSyntax translate_pattern(std::string_view pattern);

}  // namespace nibble::inline v0
