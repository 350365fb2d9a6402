// IQ4_XS: 8 groups of 32 elements; value(i) = d * (scale[i / 32] - 32) * levels[code[i]].
// One of the formats listed in formats.hpp.
//
//   byte  0   2                4               8           136
//         | d | scales_high[2] | scales_low[4] | q[128]    |    d half
//   scales_high: high two bits of each scale in turn; scales_low: low four; both lowest first
//   q[i], i < 16: code[i] | code[i + 16] << 4; every further 16 bytes: 32 elements further on
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct IQ4_XS {
  static constexpr std::string_view name = "IQ4_XS";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 256;
  static constexpr std::int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};
  static constexpr CodeLayout codes{
      .group = 32, .code_bits = 4, .levels = levels, .scale_bits = 6, .scale_zero = 32};

  struct Block {
    std::uint16_t d;
    std::uint8_t scales_high[2];
    std::uint8_t scales_low[4];
    std::uint8_t q[128];
  };
  static_assert(sizeof(Block) == 136);
  using Codes = Plane<256, 4, 16>;
  using ScalesLow = Plane<8, 4, 1>;
  using ScalesHigh = Plane<8, 2, 1>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    ScalesLow::split(block.scales_low, parts.scale);
    ScalesHigh::split(block.scales_high, parts.scale, 4);
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    ScalesLow::join(parts.scale, block.scales_low);
    ScalesHigh::join(parts.scale, block.scales_high, 4);
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<IQ4_XS>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<IQ4_XS>(x, w, block);
  }
};

template <>
struct FormatAt<23> {
  using type = IQ4_XS;
};

}  // namespace nibble::inline v0
