// Q4_K: 8 groups of 32 elements; value(i) = d * scale[i / 32] * code[i] - m * min[i / 32].
// One of the formats listed in formats.hpp.
//
//   byte  0   2   4             16          144
//         | d | m | scales[12]  | q[128]    |    d, m half; scales: see split_scales_mins
//   q[l], l < 32: code[l] | code[l + 32] << 4; every further 32 bytes: 64 elements further on
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q4_K {
  static constexpr std::string_view name = "Q4_K";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 256;
  static constexpr CodeLayout codes{
      .group = 32, .code_bits = 4, .scale_bits = 6, .has_m = true, .min_bits = 6};

  struct Block {
    std::uint16_t d, m;
    std::uint8_t scales[12];
    std::uint8_t q[128];
  };
  static_assert(sizeof(Block) == 144);
  using Codes = Plane<256, 4, 32>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    split_scales_mins(block.scales, parts.scale, parts.min);
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    join_scales_mins(parts.scale, parts.min, block.scales);
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q4_K>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q4_K>(x, w, block);
  }
};

template <>
struct FormatAt<12> {
  using type = Q4_K;
};

}  // namespace nibble::inline v0
