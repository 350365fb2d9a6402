// Q5_0: 32 elements share a scale; value(i) = d * (code[i] - 16).
// One of the formats listed in formats.hpp.
//
//   byte  0   2        6                         22
//         | d | high   | q[0] q[1] ... q[15]     |    d half; q[i] = code[i] & 15 | (code[i + 16] & 15) << 4
//             bit i of `high`: bit 4 of code[i]
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q5_0 {
  static constexpr std::string_view name = "Q5_0";
  static constexpr Family family = Family::codes4_high;
  static constexpr std::uint32_t block_size = 32;
  static constexpr CodeLayout codes{.group = 32, .code_bits = 5, .zero = 16};

  struct Block {
    std::uint16_t d;
    std::uint8_t high[4];
    std::uint8_t q[16];
  };
  static_assert(sizeof(Block) == 22);
  using Codes = Plane<32, 4, 16>;
  using High = Plane<32, 1, 1>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    Codes::split(block.q, parts.code);
    High::split(block.high, parts.code, 4);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    Codes::join(parts.code, block.q);
    High::join(parts.code, block.high, 4);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q5_0>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q5_0>(x, w, block);
  }
};

template <>
struct FormatAt<6> {
  using type = Q5_0;
};

}  // namespace nibble::inline v0
