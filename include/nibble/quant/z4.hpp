// Z4_32 and Z4_128: 4-bit codes with whole zeros, what matrices of GPTQ and AWQ become;
// value(i) = d * scale[i / 32] * code[i] - m * min[i / 32]. Two of the formats listed in formats.hpp.
//
//   byte  0   2   4            4 + n / 32
//         | d | m | scales     | q[n / 2]    |   d, m half; scales[g] = scale[g] | min[g] << 4
//   q[l], l < 16: code[l] | code[l + 16] << 4; every further 16 bytes: 32 elements further on
//
// A zero z is written as m = d, min = z and scale = 1: every step of d * q - d * z is exact in a float. The
// numbers are the library's own: GGUF has given out none near them, and in files they are refused.
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

template <unsigned n>
struct Z4 {
  static constexpr std::string_view name = n == 32 ? "Z4_32" : "Z4_128";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = n;
  static constexpr CodeLayout codes{
      .group = 32, .code_bits = 4, .scale_bits = 4, .has_m = true, .min_bits = 4};
  static constexpr unsigned groups = n / 32;

  struct [[gnu::packed]] Block {
    std::uint16_t d, m;
    std::uint8_t scales[groups];
    std::uint8_t q[n / 2];
  };
  static_assert(sizeof(Block) == 4 + groups + n / 2);
  using Codes = Plane<n, 4, 16>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.d;
    parts.m = block.m;
    for (unsigned g = 0; g < groups; ++g) parts.scale[g] = block.scales[g] & 15;
    for (unsigned g = 0; g < groups; ++g) parts.min[g] = block.scales[g] >> 4;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.d = parts.d;
    block.m = parts.m;
    for (unsigned g = 0; g < groups; ++g) {
      block.scales[g] = static_cast<std::uint8_t>((parts.scale[g] & 15) | parts.min[g] << 4);
    }
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<Z4>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept { encode_coded<Z4>(x, w, block); }
};

inline constexpr Dtype z4_32{62}, z4_128{63};

template <>
struct FormatAt<62> {
  using type = Z4<32>;
};
template <>
struct FormatAt<63> {
  using type = Z4<128>;
};

}  // namespace nibble::inline v0
