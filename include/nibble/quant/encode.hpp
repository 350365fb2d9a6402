// Floats to a block, for every format that has codes: search, round, put together.
// Between the floats to be quantised and a format's join().
#pragma once

#include <algorithm>

#include "nibble/quant/coded.hpp"
#include "nibble/quant/fit.hpp"

namespace nibble::inline v0 {

// The half nearest to `value`, never infinite.
inline std::uint16_t finite_half(float value) noexcept {
  return f32_to_f16(std::clamp(value, -65504.0f, 65504.0f));
}

// The codes of a group whose scale and min are settled.
template <class Coded>
void round_codes(const float* x, float scale, std::uint8_t* code) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  const float inverse = scale != 0 ? 1 / scale : 0;
  constexpr int limit = codes.code_bits == 8 ? 127 : (1 << codes.code_bits) - 1 - codes.zero;
  const WholeLevels levels{codes.code_bits == 8 ? -127.0f : -float(codes.zero), float(limit)};
  for (unsigned i = 0; i < codes.group; ++i) {
    code[i] = static_cast<std::uint8_t>(static_cast<int>(levels.nearest(x[i] * inverse)) + codes.zero);
  }
}

// Codes around zero, one scale a block.
template <class Coded>
void encode_symmetric(const float* x, const float* w, typename Coded::Block& block) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  constexpr int limit = codes.code_bits == 8 ? 127 : (1 << codes.code_bits) - 1 - codes.zero;
  const WholeLevels levels{codes.code_bits == 8 ? -127.0f : -float(codes.zero), float(limit)};
  BlockParts parts{};
  parts.d = finite_half(fit_scale<codes.group>(x, w, levels, 8).scale);
  round_codes<Coded>(x, f16_to_f32(parts.d), parts.code);
  Coded::join(parts, block);
}

}  // namespace nibble::inline v0
