// Q5_K: 8 groups of 32 elements; value(i) = d * scale[i / 32] * code[i] - m * min[i / 32].
// One of the formats listed in formats.hpp.
//
//   byte  0   2   4             16          48          176
//         | d | m | scales[12]  | high[32]  | q[128]    |    d, m half; scales: see split_scales_mins
//   high[l]: bit 4 of codes l, l + 32, ... l + 224, lowest first
//   q[l], l < 32: low bits of codes l and l + 32, four each; every further 32 bytes: 64 elements further on
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q5_K {
  static constexpr std::string_view name = "Q5_K";
  static constexpr Family family = Family::codes4_high;
  static constexpr std::uint32_t block_size = 256;
  static constexpr CodeLayout codes{
      .group = 32, .code_bits = 5, .scale_bits = 6, .has_m = true, .min_bits = 6};

  struct Block {
    std::uint16_t d, m;
    std::uint8_t scales[12];
    std::uint8_t high[32];
    std::uint8_t q[128];
  };
  static_assert(sizeof(Block) == 176);
  using Codes = Plane<256, 4, 32>;
  using High = Plane<256, 1, 32>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    split_scales_mins(block.scales, parts.scale, parts.min);
    Codes::split(block.q, parts.code);
    High::split(block.high, parts.code, 4);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    join_scales_mins(parts.scale, parts.min, block.scales);
    Codes::join(parts.code, block.q);
    High::join(parts.code, block.high, 4);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q5_K>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q5_K>(x, w, block);
  }
};

template <>
struct FormatAt<13> {
  using type = Q5_K;
};

}  // namespace nibble::inline v0
