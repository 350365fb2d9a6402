// How the text stage's hash tables spread and probe: multiplicative hashes, linear probing, a bound on both.
// Under the vocabulary and the merges, whose keys come from files and may be made to collide.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace nibble::inline v0 {

// Tables are at most two thirds full; an honest one of 4 million entries has no run longer than about 200.
inline constexpr std::size_t max_probes = 1'024;

// Slots for n entries: a power of two.
constexpr std::size_t hash_slots(std::size_t n) noexcept { return std::bit_ceil(n + n / 2 + 1); }

constexpr std::uint64_t hash_word(std::uint64_t word) noexcept {
  word *= 0x9E3779B97F4A7C15u;
  word ^= word >> 32;
  word *= 0xD6E8FEB86659FD93u;
  return word ^ word >> 29;
}

inline std::uint64_t hash_text(std::string_view text) noexcept {
  std::uint64_t hash = text.size();
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = hash_word(hash ^ word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, text.data(), text.size());
  return hash_word(hash ^ rest);
}

}  // namespace nibble::inline v0
