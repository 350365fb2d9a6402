// F16: every element an IEEE half.
// One of the formats listed in formats.hpp.
#pragma once

#include <algorithm>
#include <cmath>

#include "nibble/quant/format.hpp"
#include "nibble/quant/half.hpp"

namespace nibble::inline v0 {

struct F16 {
  static constexpr std::string_view name = "F16";
  static constexpr Family family = Family::float16;
  static constexpr std::uint32_t block_size = 1;
  static constexpr CodeLayout codes{};

  struct Block {
    std::uint16_t bits;
  };
  static_assert(sizeof(Block) == 2);

  static void decode(const Block& block, float* out) noexcept { *out = f16_to_f32(block.bits); }
  // Finite values beyond the range end at +-65504.
  static void encode(const float* x, const float*, Block& block) noexcept {
    block.bits = f32_to_f16(std::isfinite(*x) ? std::clamp(*x, -65504.0f, 65504.0f) : *x);
  }
};

template <>
struct FormatAt<1> {
  using type = F16;
};

}  // namespace nibble::inline v0
