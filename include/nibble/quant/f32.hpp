// F32: every element a little-endian IEEE single.
// One of the formats listed in formats.hpp.
#pragma once

#include "nibble/quant/format.hpp"

namespace nibble::inline v0 {

struct F32 {
  static constexpr std::string_view name = "F32";
  static constexpr Family family = Family::float32;
  static constexpr std::uint32_t block_size = 1;
  static constexpr CodeLayout codes{};

  struct Block {
    float value;
  };
  static_assert(sizeof(Block) == 4);

  static void decode(const Block& block, float* out) noexcept { *out = block.value; }
  static void encode(const float* x, const float*, Block& block) noexcept { block.value = *x; }
};

template <>
struct FormatAt<0> {
  using type = F32;
};

}  // namespace nibble::inline v0
