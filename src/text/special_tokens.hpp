// Added tokens found in text before anything else happens to it: the leftmost, the longest of those.
// First step of encode(): splits a text into tokens and the fragments between them.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/vocabulary.hpp"

namespace nibble::inline v0 {

struct SpecialToken {
  std::string text;
  TokenId id = 0;
  bool control = false;      // recognised only on request
  bool strip_left = false;   // takes the white space before it along
  bool strip_right = false;  // and after it
  bool whole_word = false;   // not beside a letter, digit or mark
};

// A token, or the text between two.
struct Fragment {
  std::string_view text;
  std::optional<TokenId> token;
};

class SpecialTokens {
 public:
  static constexpr std::size_t max_text = 1'024;  // bytes of one; bounds the work per byte of input

  SpecialTokens() = default;
  explicit SpecialTokens(std::vector<SpecialToken> tokens);

  bool empty() const noexcept { return tokens_.empty(); }
  // Empty fragments are left out. Control tokens are found on request, and none that touches `plain`.
  std::vector<Fragment> split(std::string_view text, bool parse_control,
                              std::span<const ByteRange> plain = {}) const;

 private:
  const SpecialToken* longest_at(std::string_view text, std::size_t at,
                                 std::size_t control_end) const noexcept;

  std::vector<SpecialToken> tokens_;                // sorted by text: what shares a prefix is a range
  std::array<std::uint32_t, 257> first_byte_ = {};  // where the texts with this first byte begin
};

}  // namespace nibble::inline v0
