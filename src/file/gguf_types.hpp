// The value types of GGUF metadata, as numbered in the files.
// Shared by GGUF's reader and writer.
#pragma once

#include <cstdint>

namespace nibble::inline v0 {

enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
inline constexpr std::uint32_t n_gguf_types = 13;

// The least that one value takes: a string at least its length.
constexpr std::uint64_t gguf_type_bytes(GgufType type) noexcept {
  constexpr std::uint8_t bytes[n_gguf_types] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return bytes[static_cast<std::uint32_t>(type)];
}

}  // namespace nibble::inline v0
