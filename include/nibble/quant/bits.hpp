// Codes in planes of bits: the ways in which block formats store numbers of fewer than eight bits.
// Used by the formats' split() and join().
#pragma once

#include <cstdint>

namespace nibble::inline v0 {

// 2 * half codes of 4 bits in `half` bytes: q[i] = code[i] | code[i + half] << 4.
template <int half = 16>
constexpr void split_nibbles(const std::uint8_t* q, std::uint8_t* code) noexcept {
  for (int i = 0; i < half; ++i) code[i] = q[i] & 15, code[i + half] = q[i] >> 4;
}
template <int half = 16>
constexpr void join_nibbles(const std::uint8_t* code, std::uint8_t* q) noexcept {
  for (int i = 0; i < half; ++i) {
    q[i] = static_cast<std::uint8_t>((code[i] & 15) | (code[i + half] & 15) << 4);
  }
}

}  // namespace nibble::inline v0
