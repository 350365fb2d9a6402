// Q5_1: 32 elements share a scale and a minimum; value(i) = d * code[i] + m.
// One of the formats listed in formats.hpp.
//
//   byte  0   2   4        8                         24
//         | d | m | high   | q[0] q[1] ... q[15]     |    d, m half; q[i] = code[i] & 15 | (code[i + 16] &
//         15) << 4
//                 bit i of `high`: bit 4 of code[i]
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q5_1 {
  static constexpr std::string_view name = "Q5_1";
  static constexpr Family family = Family::codes4_high;
  static constexpr std::uint32_t block_size = 32;
  static constexpr CodeLayout codes{.group = 32, .code_bits = 5, .has_m = true};

  struct Block {
    std::uint16_t d, m;
    std::uint8_t high[4];
    std::uint8_t q[16];
  };
  static_assert(sizeof(Block) == 24);
  using Codes = Plane<32, 4, 16>;
  using High = Plane<32, 1, 1>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    Codes::split(block.q, parts.code);
    High::split(block.high, parts.code, 4);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    Codes::join(parts.code, block.q);
    High::join(parts.code, block.high, 4);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q5_1>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q5_1>(x, w, block);
  }
};

template <>
struct FormatAt<7> {
  using type = Q5_1;
};

}  // namespace nibble::inline v0
