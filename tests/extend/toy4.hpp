// TOY4: 32 elements share a scale, levels lie closer around zero; value(i) = d * levels[code[i]].
// What tests/extend/ adds to prove that a block format is one file and one line.
//
//   byte  0                     16  18
//         | q[0] q[1] ... q[15] | d |   d half; q[i] = code[2 i] | code[2 i + 1] << 4
#pragma once

#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct TOY4 {
  static constexpr std::string_view name = "TOY4";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 32;
  static constexpr std::int8_t levels[16] = {-120, -90, -66, -47, -32, -20, -11, -4,
                                             4,    11,  20,  32,  47,  66,  90,  120};
  static constexpr CodeLayout codes{.group = 32, .code_bits = 4, .levels = levels};

  struct Block {
    std::uint8_t q[16];
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 18);

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    for (unsigned i = 0; i < 16; ++i) {
      parts.code[2 * i] = block.q[i] & 15;
      parts.code[2 * i + 1] = block.q[i] >> 4;
    }
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    for (unsigned i = 0; i < 16; ++i) {
      block.q[i] = static_cast<std::uint8_t>(parts.code[2 * i] | parts.code[2 * i + 1] << 4);
    }
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<TOY4>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<TOY4>(x, w, block);
  }
};

template <>
struct FormatAt<200> {
  using type = TOY4;
};

}  // namespace nibble::inline v0
