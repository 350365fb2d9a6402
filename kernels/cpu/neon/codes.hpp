// Packed codes as the NEON matmul reads them: rows in tiles of 8, four consecutive elements of a row in one
// lane. Used by dot_tile.hpp and panel.hpp; quant/packed.hpp draws the layout.
#pragma once

#include <arm_neon.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "nibble/quant/format.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

inline constexpr std::size_t lanes = 8;        // rows of a tile, in two registers
inline constexpr std::size_t plane_size = 32;  // elements whose planes lie together

// Integer sums begin here, so that their bits are those of the float 1.5 * 2^23 + sum: taking that off
// converts them exactly (a group's sum is below 2^22), at half of what scvtf costs on Neoverse cores.
inline constexpr std::int32_t sum_start = 0x4b40'0000;

inline float32x4_t to_float(int32x4_t sum) {
  return vsubq_f32(vreinterpretq_f32_s32(sum), vreinterpretq_f32_s32(vdupq_n_s32(sum_start)));
}

// What is to be subtracted from a code as load_codes() gives it.
template <class F>
constexpr int bias = HasLevels<F> ? 0 : F::codes.zero;

template <class F>
constexpr PackedLayout layout_of() {
  constexpr CodeLayout codes = F::codes;
  Format format{};
  format.block_size = F::block_size;
  format.block_bytes = sizeof(typename F::Block);
  format.codes = codes;
  return packed_layout(format, lanes);
}

// One block's sections in a row tile.
struct BlockAt {
  const std::byte *codes, *scales, *mins, *d, *m;
};

// Block `block` of the row tile at `tile`, which has n_blocks.
template <class F>
inline BlockAt block_at(const std::byte* tile, std::size_t block, std::size_t n_blocks) {
  constexpr PackedLayout l = layout_of<F>();
  const std::size_t first = block / l.tile_blocks * l.tile_blocks, in_tile = block - first;
  const std::size_t n = std::min<std::size_t>(l.tile_blocks, n_blocks - first);
  const std::byte* at = tile + first * l.block_bytes();
  return {at + in_tile * l.codes, at + n * l.codes + in_tile * l.scales,
          at + n * (l.codes + l.scales) + in_tile * l.mins,
          at + n * (l.codes + l.scales + l.mins) + in_tile * l.d,
          at + n * (l.codes + l.scales + l.mins + l.d) + in_tile * l.m};
}

// Field `field` (of `bits` bits) of every byte.
template <int bits>
inline uint8x16_t field_of(const std::byte* bytes, int field) {
  const uint8x16_t x = vld1q_u8(reinterpret_cast<const std::uint8_t*>(bytes)) >> (bits * field);
  return bits * (field + 1) == 8 ? x : vandq_u8(x, vdupq_n_u8((1 << bits) - 1));
}

// Quad j (elements 4 j to 4 j + 3) of 32 elements, of rows 4 half to 4 half + 3: codes less than 64, signed
// bytes, or levels.
template <class F>
inline int8x16_t load_codes(const std::byte* planes, int j, int half) {
  constexpr int bits = F::codes.code_bits;
  constexpr std::size_t vector = 4 * lanes;
  planes += 16 * half;
  uint8x16_t code;
  if constexpr (bits == 8) {
    code = vld1q_u8(reinterpret_cast<const std::uint8_t*>(planes + j * vector));
  } else if constexpr (bits == 2 || bits == 3) {
    code = field_of<2>(planes + j % 2 * vector, j / 2);
    if constexpr (bits == 3) code = vsliq_n_u8(code, field_of<1>(planes + 2 * vector, j), 2);
  } else {
    code = field_of<4>(planes + j % 4 * vector, j / 4);
    if constexpr (bits == 5) code = vsliq_n_u8(code, field_of<1>(planes + 4 * vector, j), 4);
    if constexpr (bits == 6) code = vsliq_n_u8(code, field_of<2>(planes + (4 + j % 2) * vector, j / 2), 4);
  }
  if constexpr (HasLevels<F>) return vqtbl1q_s8(vld1q_s8(F::codes.levels), code);
  return vreinterpretq_s8_u8(code);
}

// Of the rows 4 half to 4 half + 3: bytes as integers, unsigned unless told.
inline int32x4_t load_bytes(const std::byte* bytes, int half, bool as_signed = false) {
  const uint8x8_t x = vld1_u8(reinterpret_cast<const std::uint8_t*>(bytes));
  const int16x8_t wide = as_signed ? vmovl_s8(vreinterpret_s8_u8(x)) : vreinterpretq_s16_u16(vmovl_u8(x));
  return half == 0 ? vmovl_s16(vget_low_s16(wide)) : vmovl_high_s16(wide);
}

inline float32x4_t load_halves(const std::byte* halves, int half) {
  return vcvt_f32_f16(
      vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(halves) + 4 * half)));
}

// The scales of group g.
template <class F>
inline float32x4_t load_scale(const BlockAt& at, std::size_t g, int half) {
  constexpr CodeLayout codes = F::codes;
  if constexpr (codes.d_is_e8m0) {
    const int32x4_t e = load_bytes(at.d, half);
    const int32x4_t normal = vshlq_n_s32(vsubq_s32(e, vdupq_n_s32(1)), 23);
    const int32x4_t denormal = vshlq_s32(vdupq_n_s32(0x00200000), e);
    return vreinterpretq_f32_s32(vbslq_s32(vcltq_s32(e, vdupq_n_s32(2)), denormal, normal));
  }
  const float32x4_t d = load_halves(at.d, half);
  if constexpr (codes.scale_bits == 0) return d;
  int32x4_t scale = load_bytes(at.scales + g * lanes, half, codes.scale_bits == 8);
  if constexpr (codes.scale_bits < 8 && codes.scale_bits + codes.min_bits <= 8)
    scale = vandq_s32(scale, vdupq_n_s32((1 << codes.scale_bits) - 1));
  return vmulq_f32(d, vcvtq_f32_s32(vsubq_s32(scale, vdupq_n_s32(codes.scale_zero))));
}

// What the negative sum of a group's activations is multiplied by.
template <class F>
inline float32x4_t load_min(const BlockAt& at, std::size_t g, int half) {
  constexpr CodeLayout codes = F::codes;
  const float32x4_t m = load_halves(at.m, half);
  if constexpr (codes.min_bits == 0) {
    return vnegq_f32(m);
  } else if constexpr (codes.scale_bits + codes.min_bits <= 8) {
    const int32x4_t bytes = load_bytes(at.scales + g * lanes, half);
    return vmulq_f32(m, vcvtq_f32_s32(vshrq_n_s32(bytes, codes.scale_bits)));
  } else {
    return vmulq_f32(m, vcvtq_f32_s32(load_bytes(at.mins + g * lanes, half)));
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
