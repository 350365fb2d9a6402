// Random valid UTF-8: words, white space, many scripts, emoji, marks, characters of every plane.
// For the tokenizer's round trips.
#pragma once

#include <cstdint>
#include <random>
#include <string>

class RandomText {
 public:
  explicit RandomText(std::uint32_t seed) : engine_(seed) {}

  // Up to about 40 characters; sometimes none. Never U+2581, which SentencePiece reads as a space.
  std::string next() {
    std::string text;
    const std::uint32_t runs = below(9);
    for (std::uint32_t run = 0; run < runs; ++run) {
      const std::uint32_t kind = below(12);
      const std::uint32_t length = 1 + below(kind == 1 ? 12 : 6);
      for (std::uint32_t i = 0; i < length; ++i) append(text, character(kind));
    }
    return text;
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  char32_t between(char32_t low, char32_t high) { return low + below(high - low + 1); }

  char32_t character(std::uint32_t kind) {
    switch (kind) {
      case 0: return between('a', 'z');
      case 1: return U" \t\n\r\u00A0\u2003\u3000\u2028 \n"[below(10)];
      case 2: return between(0x20, 0x7E);
      case 3: return between('0', '9');
      case 4: return between(0x4E00, 0x9FFF);    // CJK
      case 5: return between(0x1F300, 0x1FAFF);  // emoji
      case 6: return between(0x300, 0x36F);      // combining marks
      case 7: return between(0xA1, 0x52F);       // Latin, Greek, Cyrillic
      case 8: return between(0xAC00, 0xD7A3);    // Hangul
      case 9: return between(0x590, 0xDFF);      // right to left, Indic
      case 10: return between(0, 0x1F);          // controls
      default: return any();
    }
  }
  char32_t any() {
    const char32_t c = below(0x110000);
    return (c >= 0xD800 && c <= 0xDFFF) || c == 0x2581 ? U'\uFFFD' : c;
  }

  static void append(std::string& out, char32_t c) {
    const auto put = [&](char32_t bits) { out += static_cast<char>(bits); };
    if (c < 0x80) return put(c);
    if (c < 0x800) {
      put(0xC0 | c >> 6);
    } else {
      if (c < 0x10000) {
        put(0xE0 | c >> 12);
      } else {
        put(0xF0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3F));
      }
      put(0x80 | (c >> 6 & 0x3F));
    }
    put(0x80 | (c & 0x3F));
  }

  std::mt19937 engine_;
};
