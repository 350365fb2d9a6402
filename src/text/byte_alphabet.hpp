// The printable alphabet of byte-level BPE: one character for each of the 256 bytes.
// Between a byte-level vocabulary's stored texts ("Ġthe") and the bytes they stand for (" the").
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

// Bytes that print in Latin-1 stand for themselves; the others, in order, for U+0100 and up.
constexpr std::array<char32_t, 256> make_byte_alphabet() noexcept {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    alphabet[byte] = prints ? byte : next++;
  }
  return alphabet;
}
inline constexpr std::array<char32_t, 256> byte_alphabet = make_byte_alphabet();

// The byte of each character below U+0144, or -1.
constexpr std::array<std::int16_t, 0x144> make_alphabet_bytes() noexcept {
  std::array<std::int16_t, 0x144> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (unsigned byte = 0; byte < 256; ++byte) bytes[byte_alphabet[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}
inline constexpr std::array<std::int16_t, 0x144> alphabet_bytes = make_alphabet_bytes();

inline void append_in_alphabet(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, byte_alphabet[static_cast<unsigned char>(byte)]);
}

// The bytes of a stored text; the text itself where it is not written in the alphabet.
inline std::string bytes_from_alphabet(std::string_view text) {
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
    const char32_t character = utf8_character(text, at);
    const int byte = character < alphabet_bytes.size() ? alphabet_bytes[character] : -1;
    if (byte < 0) return std::string(text);
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

}  // namespace nibble::inline v0
