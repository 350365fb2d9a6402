// Q4_1: 32 elements share a scale and a minimum; value(i) = d * code[i] + m.
// One of the formats listed in formats.hpp.
//
//   byte  0   2   4                         20
//         | d | m | q[0] q[1] ... q[15]     |    d, m half; q[i] = code[i] | code[i + 16] << 4
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q4_1 {
  static constexpr std::string_view name = "Q4_1";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 32;
  static constexpr CodeLayout codes{.group = 32, .code_bits = 4, .has_m = true};

  struct Block {
    std::uint16_t d, m;
    std::uint8_t q[16];
  };
  static_assert(sizeof(Block) == 20);
  using Codes = Plane<32, 4, 16>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q4_1>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q4_1>(x, w, block);
  }
};

template <>
struct FormatAt<3> {
  using type = Q4_1;
};

}  // namespace nibble::inline v0
