// MXFP4: 32 elements of the form E2M1 share a power of two; value(i) = 2^(e - 128) * levels[code[i]].
// One of the formats listed in formats.hpp.
//
//   byte  0   1                         17
//         | e | q[0] q[1] ... q[15]     |    q[i] = code[i] | code[i + 16] << 4
//   levels are twice the numbers that E2M1 spells, hence 128 where the specification has 127
#pragma once

#include "nibble/quant/bits.hpp"
#include "nibble/quant/coded.hpp"
#include "nibble/quant/encode.hpp"

namespace nibble::inline v0 {

struct MXFP4 {
  static constexpr std::string_view name = "MXFP4";
  static constexpr Family family = Family::codes4;
  static constexpr std::uint32_t block_size = 32;
  static constexpr std::int8_t levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  static constexpr CodeLayout codes{.group = 32, .code_bits = 4, .levels = levels, .d_is_e8m0 = true};

  struct Block {
    std::uint8_t e;
    std::uint8_t q[16];
  };
  static_assert(sizeof(Block) == 17);
  using Codes = Plane<32, 4, 16>;

  static void split(const Block& block, BlockParts& parts) noexcept {
    parts = {};
    parts.d = block.e;
    Codes::split(block.q, parts.code);
  }
  static void join(const BlockParts& parts, Block& block) noexcept {
    block.e = static_cast<std::uint8_t>(parts.d);
    Codes::join(parts.code, block.q);
  }

  static void decode(const Block& block, float* out) noexcept { decode_coded<MXFP4>(block, out); }
  static void encode(const float* x, const float* w, Block& block) noexcept {
    encode_coded<MXFP4>(x, w, block);
  }
};

template <>
struct FormatAt<39> {
  using type = MXFP4;
};

}  // namespace nibble::inline v0
