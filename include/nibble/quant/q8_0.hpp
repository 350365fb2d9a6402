// Q8_0: 32 elements share a scale; value(i) = d * q[i].
// One of the formats listed in formats.hpp.
//
//   byte  0   2                              34
//         | d | q[0] q[1] ... q[31]          |   d half, q two's complement
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q8_0 {
  static constexpr std::string_view name = "Q8_0";
  static constexpr Family family = Family::codes8;
  static constexpr std::uint32_t block_size = 32;
  static constexpr CodeLayout codes{.group = 32, .code_bits = 8};

  struct Block {
    std::uint16_t d;
    std::uint8_t q[32];
  };
  static_assert(sizeof(Block) == 34);
  using Codes = Plane<32, 8, 32>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q8_0>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q8_0>(x, w, block);
  }
};

template <>
struct FormatAt<8> {
  using type = Q8_0;
};

}  // namespace nibble::inline v0
