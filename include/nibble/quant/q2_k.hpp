// Q2_K: 16 groups of 16 elements; value(i) = d * scale[i / 16] * code[i] - m * min[i / 16].
// One of the formats listed in formats.hpp.
//
//   byte  0             16            80  82  84
//         | scales[16]  | q[64]       | d | m |    d, m half; scales[g] = scale[g] | min[g] << 4
//   q[l], l < 32: codes l, l + 32, l + 64, l + 96, two bits each, lowest first; q[32 + l]: 128 further on
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q2_K {
  static constexpr std::string_view name = "Q2_K";
  static constexpr Family family = Family::codes2;
  static constexpr std::uint32_t block_size = 256;
  static constexpr CodeLayout codes{
      .group = 16, .code_bits = 2, .scale_bits = 4, .has_m = true, .min_bits = 4};

  struct Block {
    std::uint8_t scales[16];
    std::uint8_t q[64];
    std::uint16_t d, m;
  };
  static_assert(sizeof(Block) == 84);
  using Codes = Plane<256, 2, 32>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    for (int g = 0; g < 16; ++g) parts.scale[g] = block.scales[g] & 15;
    for (int g = 0; g < 16; ++g) parts.min[g] = block.scales[g] >> 4;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    for (int g = 0; g < 16; ++g) {
      block.scales[g] = static_cast<std::uint8_t>((parts.scale[g] & 15) | parts.min[g] << 4);
    }
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q2_K>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q2_K>(x, w, block);
  }
};

template <>
struct FormatAt<10> {
  using type = Q2_K;
};

}  // namespace nibble::inline v0
