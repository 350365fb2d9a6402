// The value of a block from its parts: the one formula of CodeLayout, for every format that has codes.
// Between a format's split() and its decode().
#pragma once

#include "nibble/quant/format.hpp"
#include "nibble/quant/half.hpp"

namespace nibble::inline v0 {

// What d multiplies in scale(g); 1 where the format has no group scales.
template <class Coded>
constexpr int scale_factor(std::uint8_t scale) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  if constexpr (codes.scale_bits == 0) return 1;
  if constexpr (codes.scale_bits == 8) return static_cast<std::int8_t>(scale);
  return scale - codes.scale_zero;
}

template <class Coded>
constexpr int code_level(std::uint8_t code) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  if constexpr (HasLevels<Coded>) return Coded::levels[code];
  if constexpr (codes.code_bits == 8) return static_cast<std::int8_t>(code);
  return code - codes.zero;
}

// scale * level, then + min: each rounded to float by itself.
template <class Coded>
void decode_coded(const typename Coded::Block& block, float* out) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  BlockParts parts;
  Coded::split(block, parts);
  const float d =
      codes.d_is_e8m0 ? e8m0_half_to_f32(static_cast<std::uint8_t>(parts.d)) : f16_to_f32(parts.d);
  const float m = f16_to_f32(parts.m);
  for (unsigned g = 0; g < Coded::block_size / codes.group; ++g) {
    const float scale = d * static_cast<float>(scale_factor<Coded>(parts.scale[g]));
    const float min = codes.min_bits != 0 ? -(m * static_cast<float>(parts.min[g])) : m;
    for (unsigned i = g * codes.group; i < (g + 1) * codes.group; ++i) {
      const float product = scale * static_cast<float>(code_level<Coded>(parts.code[i]));
      out[i] = codes.has_m ? product + min : product;
    }
  }
}

}  // namespace nibble::inline v0
