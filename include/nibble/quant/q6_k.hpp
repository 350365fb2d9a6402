// Q6_K: 16 groups of 16 elements; value(i) = d * scale[i / 16] * (code[i] - 32).
// One of the formats listed in formats.hpp.
//
//   byte  0         128         192           208 210
//         | q[128]  | high[64]  | scales[16]  | d |    d half; scales two's complement
//   q[l], l < 64: low bits of codes l and l + 64, four each; q[64 + l]: 128 further on
//   high[l], l < 32: high bits of codes l, l + 32, l + 64, l + 96, two each; high[32 + l]: 128 further on
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q6_K {
  static constexpr std::string_view name = "Q6_K";
  static constexpr Family family = Family::codes4_high;
  static constexpr std::uint32_t block_size = 256;
  static constexpr CodeLayout codes{.group = 16, .code_bits = 6, .zero = 32, .scale_bits = 8};

  struct Block {
    std::uint8_t q[128];
    std::uint8_t high[64];
    std::uint8_t scales[16];
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 210);
  using Codes = Plane<256, 4, 64>;
  using High = Plane<256, 2, 32>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    for (int g = 0; g < 16; ++g) parts.scale[g] = block.scales[g];
    Codes::split(block.q, parts.code);
    High::split(block.high, parts.code, 4);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    for (int g = 0; g < 16; ++g) block.scales[g] = parts.scale[g];
    Codes::join(parts.code, block.q);
    High::join(parts.code, block.high, 4);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q6_K>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q6_K>(x, w, block);
  }
};

template <>
struct FormatAt<14> {
  using type = Q6_K;
};

}  // namespace nibble::inline v0
