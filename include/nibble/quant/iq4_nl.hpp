// IQ4_NL: 32 elements share a scale, levels lie closer around zero; value(i) = d * levels[code[i]].
// One of the formats listed in formats.hpp.
//
//   byte  0   2                         18
//         | d | q[0] q[1] ... q[15]     |    d half; q[i] = code[i] | code[i + 16] << 4
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct IQ4_NL {
  static constexpr std::string_view name = "IQ4_NL";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 32;
  static constexpr std::int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};
  static constexpr CodeLayout codes{.group = 32, .code_bits = 4, .levels = levels};

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

  static void decode(const Block& block, float* out) noexcept { decode_coded<IQ4_NL>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<IQ4_NL>(x, w, block);
  }
};

template <>
struct FormatAt<20> {
  using type = IQ4_NL;
};

}  // namespace nibble::inline v0
