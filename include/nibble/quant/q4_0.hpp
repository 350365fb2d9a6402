// Q4_0: 32 elements share a scale; value(i) = d * (code[i] - 8).
// One of the formats listed in formats.hpp.
//
//   byte  0   2                         18
//         | d | q[0] q[1] ... q[15]     |    d half; q[i] = code[i] | code[i + 16] << 4
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct Q4_0 {
  static constexpr std::string_view name = "Q4_0";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 32;
  static constexpr CodeLayout codes{.group = 32, .code_bits = 4, .zero = 8};

  struct Block {
    std::uint16_t d;
    std::uint8_t q[16];
  };
  static_assert(sizeof(Block) == 18);
  using Codes = Plane<32, 4, 16>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Q4_0>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<Q4_0>(x, w, block);
  }
};

template <>
struct FormatAt<2> {
  using type = Q4_0;
};

}  // namespace nibble::inline v0
