// UTF-8, one character at a time: validity, decoding, and the two character classes the tokenizers ask for.
// Under everything in the text stage; find_invalid_utf8 and repair_utf8 are public in text/tokenizer.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nibble::inline v0 {

// The bytes of the character that starts with `lead`, in valid UTF-8.
constexpr std::size_t utf8_length(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The character at text[at], in valid UTF-8.
char32_t utf8_character(std::string_view text, std::size_t at) noexcept;

void append_utf8(std::string& out, char32_t character);

// The bytes of `text` without the incomplete but so far valid character it may end in (at most 3 bytes).
std::size_t complete_utf8(std::string_view text) noexcept;

// Unicode's White_Space, and what a regular expression's \w means: letters, marks, digits, connectors.
bool is_white_space(char32_t character) noexcept;
bool is_word_character(char32_t character) noexcept;

}  // namespace nibble::inline v0
