// Q3_K: 16 groups of 16 elements; value(i) = d * (scale[i / 16] - 32) * (code[i] - 4).
// One of the formats listed in formats.hpp.
//
//   byte  0           32      96               104                 108 110
//         | high[32]  | q[64] | scales_low[8]  | scales_high[4]    | d |    d half
//   high[l]: bit 2 of codes l, l + 32, ... l + 224, lowest first
//   q[l], l < 32: low bits of codes l, l + 32, l + 64, l + 96, two each; q[32 + l]: 128 further on
//   scales_low[g]: low four bits of scale[g] and scale[g + 8]; scales_high[g]: high two of g, g + 4, g + 8, g
//   + 12
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q3_K {
  static constexpr std::string_view name = "Q3_K";
  static constexpr Family family = Family::codes2;
  static constexpr std::uint32_t block_size = 256;
  static constexpr CodeLayout codes{
      .group = 16, .code_bits = 3, .zero = 4, .scale_bits = 6, .scale_zero = 32};

  struct Block {
    std::uint8_t high[32];
    std::uint8_t q[64];
    std::uint8_t scales_low[8];
    std::uint8_t scales_high[4];
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 110);
  using Codes = Plane<256, 2, 32>;
  using High = Plane<256, 1, 32>;
  using ScalesLow = Plane<16, 4, 8>;
  using ScalesHigh = Plane<16, 2, 4>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    Codes::split(block.q, parts.code);
    High::split(block.high, parts.code, 2);
    ScalesLow::split(block.scales_low, parts.scale);
    ScalesHigh::split(block.scales_high, parts.scale, 4);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    Codes::join(parts.code, block.q);
    High::join(parts.code, block.high, 2);
    ScalesLow::join(parts.scale, block.scales_low);
    ScalesHigh::join(parts.scale, block.scales_high, 4);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q3_K>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q3_K>(x, w, block);
  }
};

template <>
struct FormatAt<11> {
  using type = Q3_K;
};

}  // namespace nibble::inline v0
