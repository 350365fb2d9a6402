// UTF-8 by the table of well-formed sequences (Unicode 15, table 3-7).
// Under everything in the text stage.
#include "src/text/utf8.hpp"

#include <utf8proc.h>

#include <cstdint>
#include <cstring>

#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

namespace {

enum class Sequence { valid, invalid, incomplete };

struct Scan {
  Sequence sequence;
  std::size_t length;  // of the character, or of the maximal subpart that no character continues
};

constexpr unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

Scan scan(std::string_view text, std::size_t at) noexcept {
  const unsigned lead = byte_at(text, at);
  if (lead < 0x80) return {Sequence::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Sequence::invalid, 1};
  const std::size_t length = utf8_length(text[at]);
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {Sequence::incomplete, i};
    const unsigned byte = byte_at(text, at + i);
    if (byte < low || byte > high) return {Sequence::invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Sequence::valid, length};
}

// Eight ASCII characters at once: prompts mostly are.
bool all_ascii(const char* eight) noexcept {
  std::uint64_t bits;
  std::memcpy(&bits, eight, sizeof bits);
  return (bits & 0x8080808080808080u) == 0;
}

}  // namespace

char32_t utf8_character(std::string_view text, std::size_t at) noexcept {
  const std::size_t length = utf8_length(text[at]);
  if (length == 1) return byte_at(text, at);
  char32_t character = byte_at(text, at) & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) character = character << 6 | (byte_at(text, at + i) & 0x3F);
  return character;
}

void append_utf8(std::string& out, char32_t character) {
  const auto put = [&](unsigned bits) { out += static_cast<char>(bits); };
  const auto tail = [&](int shift) { put(0x80 | (character >> shift & 0x3F)); };
  if (character < 0x80) return put(character);
  if (character < 0x800) {
    put(0xC0 | character >> 6);
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    tail(6);
  } else {
    put(0xF0 | character >> 18);
    tail(12);
    tail(6);
  }
  tail(0);
}

std::size_t complete_utf8(std::string_view text) noexcept {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::size_t at = text.size() - back;
    if ((byte_at(text, at) & 0xC0) == 0x80) continue;
    const Scan found = scan(text, at);
    return found.sequence == Sequence::incomplete && found.length == back ? at : text.size();
  }
  return text.size();
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    if (text.size() - at >= 8 && all_ascii(text.data() + at)) {
      at += 8;
      continue;
    }
    const Scan found = scan(text, at);
    if (found.sequence != Sequence::valid) return at;
    at += found.length;
  }
  return std::nullopt;
}

std::string repair_utf8(std::string_view text) {
  return translate_errors([&] {
    std::string out;
    out.reserve(text.size());
    while (const auto bad = find_invalid_utf8(text)) {
      out += text.substr(0, *bad);
      out += "\uFFFD";
      text.remove_prefix(*bad + scan(text, *bad).length);
    }
    return out += text;
  });
}

bool is_white_space(char32_t c) noexcept {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_word_character(char32_t c) noexcept {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return false;
  }
}

}  // namespace nibble::inline v0
