// BF16: every element the upper half of an IEEE single.
// One of the formats listed in formats.hpp.
#pragma once

#include <algorithm>
#include <cmath>

#include "nibble/quant/format.hpp"
#include "nibble/quant/half.hpp"

namespace nibble::inline v0 {

struct BF16 {
  static constexpr std::string_view name = "BF16";
  static constexpr Family family = Family::float16;
  static constexpr std::uint32_t block_size = 1;
  static constexpr CodeLayout codes{};

  struct Block {
    std::uint16_t bits;
  };
  static_assert(sizeof(Block) == 2);

  static void decode(const Block& block, float* out) noexcept { *out = bf16_to_f32(block.bits); }
  // Finite values that would round to infinity end at the largest finite one.
  static void encode(const float* x, const float*, Block& block) noexcept {
    constexpr float largest = 0x1.fep127f;
    block.bits = f32_to_bf16(std::isfinite(*x) ? std::clamp(*x, -largest, largest) : *x);
  }
};

template <>
struct FormatAt<30> {
  using type = BF16;
};

}  // namespace nibble::inline v0
