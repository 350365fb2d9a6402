// One pass over a pattern: copies what both dialects agree on, rewrites classes, refuses the rest.
// Between a pre-tokenizer's pattern as its makers wrote it and text/pattern.hpp.
#include "src/text/pattern_syntax.hpp"

#include <array>

namespace nibble::inline v0 {

namespace {

// Unicode's White_Space; PCRE2's own \s has U+180E as well.
constexpr std::string_view white_space =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view digit = R"(\p{Nd})";
constexpr std::string_view word = R"(\p{L}\p{M}\p{Nd}\p{Pc})";

constexpr std::array<std::string_view, 9> groups = {
    "?:", "?=", "?!", "?>", "?<=", "?<!", "?i:", "?-i:", "?i)"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern), size_(pattern.size()) {}

  PatternSyntax run() {
    while (!rest_.empty()) {
      const std::size_t n = in_class_ ? class_item() : item();
      if (n == 0) return {{}, size_ - rest_.size()};
      rest_.remove_prefix(n);
    }
    return {std::move(out_), std::nullopt};
  }

 private:
  // Each returns how many bytes it took; 0: refused.
  std::size_t item() {
    switch (rest_[0]) {
      case '\\': return escape();
      case '[': in_class_ = true; return copy(rest_.substr(1).starts_with('^') ? 2 : 1);
      case '(': return group();
      case '{': return repeat();
      default: return copy(1);
    }
  }

  std::size_t class_item() {
    if (rest_[0] == '\\') return escape();
    if (rest_[0] == '[' || rest_.starts_with("&&")) return 0;
    if (rest_[0] == ']') in_class_ = false;
    return copy(1);
  }

  std::size_t group() {
    const std::string_view inside = rest_.substr(1);
    if (inside.starts_with('*')) return 0;
    if (!inside.starts_with('?')) return copy(1);
    for (const std::string_view group : groups) {
      if (inside.starts_with(group)) return copy(1 + group.size());
    }
    return 0;
  }

  // {2}, {2,} and {2,5}; a possessive one would mean something else in Oniguruma.
  std::size_t repeat() {
    std::size_t n = 1;
    const auto digits = [&] {
      const std::size_t begin = n;
      while (n < rest_.size() && is_digit(rest_[n])) ++n;
      return n > begin;
    };
    if (!digits()) return 0;
    if (rest_.substr(n).starts_with(',')) {
      ++n;
      digits();
    }
    if (!rest_.substr(n).starts_with('}') || rest_.substr(n + 1).starts_with('+')) return 0;
    return copy(n + 1);
  }

  std::size_t escape() {
    if (rest_.size() < 2) return 0;
    const char c = rest_[1];
    switch (c) {
      case 's': return character_class(white_space);
      case 'd': return character_class(digit);
      case 'w': return character_class(word);
      case 'S': return negated_class(white_space);
      case 'D': return negated_class(digit);
      case 'W': return negated_class(word);
      case 'p':
      case 'P': return property();
      case 'x': return code_point();
      case 'n':
      case 'r':
      case 't':
      case 'f': return copy(2);
      case 'A':
      case 'z': return in_class_ ? 0 : copy(2);
      default: return is_letter(c) || is_digit(c) ? 0 : copy(2);
    }
  }

  std::size_t character_class(std::string_view members) {
    out_ += in_class_ ? std::string(members) : "[" + std::string(members) + "]";
    return 2;
  }
  std::size_t negated_class(std::string_view members) {
    if (in_class_) return 0;
    out_ += "[^" + std::string(members) + "]";
    return 2;
  }

  // \p{L}, \p{Lu}: general categories only; scripts mean different sets to different engines.
  std::size_t property() {
    const std::size_t close = rest_.substr(0, 6).find('}');
    if (rest_.size() < 3 || rest_[2] != '{' || close == rest_.npos || close < 4) return 0;
    for (const char c : rest_.substr(3, close - 3)) {
      if (!is_letter(c)) return 0;
    }
    return copy(close + 1);
  }

  // \x41 and \x{4e00}
  std::size_t code_point() {
    if (rest_.size() >= 4 && rest_[2] >= '0' && rest_[2] <= '7' && is_hex(rest_[3])) return copy(4);
    const std::size_t close = rest_.find('}');
    if (rest_.size() < 3 || rest_[2] != '{' || close == rest_.npos || close == 3 || close > 9) return 0;
    for (const char c : rest_.substr(3, close - 3)) {
      if (!is_hex(c)) return 0;
    }
    return copy(close + 1);
  }

  std::size_t copy(std::size_t n) {
    out_ += rest_.substr(0, n);
    return n;
  }

  std::string_view rest_;
  std::size_t size_;
  std::string out_;
  bool in_class_ = false;
};

}  // namespace

PatternSyntax translate_pattern(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace nibble::inline v0
