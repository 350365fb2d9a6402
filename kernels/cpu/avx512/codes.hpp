// Packed codes as the AVX-512 matmul reads them: a row tile is two vectors of 16 rows, four consecutive
// elements of each row in its lane. Used by matmul.hpp; quant/packed.hpp draws the layout.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

inline constexpr std::size_t lanes = 16;
inline constexpr std::size_t vectors = 2;  // of a row tile
inline constexpr std::size_t tile_rows = vectors * lanes;
inline constexpr std::size_t plane_size = 32;  // elements whose planes lie together
inline constexpr std::size_t plane_quads = plane_size / 4;

// What dot products need of a format: codes as unsigned bytes, and what is to be subtracted from each.
// Signed bytes and table levels are moved up by 128.
template <class F>
struct Unsigned {
  static constexpr CodeLayout codes = F::codes;
  static constexpr bool through_table = HasLevels<F>;
  static constexpr int bias = through_table || codes.code_bits == 8 ? 128 : codes.zero;
};

constexpr int log2_of(int power) {
  int n = 0;
  while (1 << n < power) ++n;
  return n;
}

inline __m512i shift_right(__m512i x, int bits) { return bits == 0 ? x : _mm512_srli_epi16(x, bits); }

// Field `field` (of `bits` bits) of every byte of word vector `word`, rows of vector v.
template <int bits>
inline __m512i field_of(const std::byte* plane, std::size_t word, std::size_t v, int field) {
  return _mm512_and_si512(shift_right(_mm512_load_si512(plane + (word * vectors + v) * 64), bits * field),
                          _mm512_set1_epi8((1 << bits) - 1));
}

// The levels of a table, moved up by 128, for each of the four 128-bit parts.
template <class F>
inline __m512i level_table() {
  alignas(16) std::uint8_t up[16];
  for (int i = 0; i < 16; ++i) up[i] = static_cast<std::uint8_t>(F::codes.levels[i] + 128);
  return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(up)));
}

// Quad j (elements 4 j to 4 j + 3) of 32 elements, as unsigned bytes, rows of vector v.
template <class F>
inline __m512i load_quad(const std::byte* planes, std::size_t j, std::size_t v) {
  constexpr int bits = F::codes.code_bits;
  constexpr std::size_t word = 64 * vectors;
  const int half = static_cast<int>(j / 4), pair = static_cast<int>(j / 2), quad = static_cast<int>(j);
  if constexpr (bits == 8) {
    return _mm512_xor_si512(_mm512_load_si512(planes + j * word + v * 64), _mm512_set1_epi8(-128));
  } else if constexpr (bits == 2 || bits == 3) {
    const __m512i low = field_of<2>(planes, j % 2, v, pair);
    if constexpr (bits == 2) return low;
    return _mm512_or_si512(low, _mm512_slli_epi16(field_of<1>(planes + 2 * word, 0, v, quad), 2));
  } else {
    const __m512i low = field_of<4>(planes, j % 4, v, half);
    if constexpr (Unsigned<F>::through_table) return _mm512_shuffle_epi8(level_table<F>(), low);
    if constexpr (bits == 5) {
      return _mm512_or_si512(low, _mm512_slli_epi16(field_of<1>(planes + 4 * word, 0, v, quad), 4));
    } else if constexpr (bits == 6) {
      return _mm512_or_si512(low, _mm512_slli_epi16(field_of<2>(planes + 4 * word, j % 2, v, pair), 4));
    }
    return low;
  }
}

// One number a row: halves, or E8M0 bytes, to floats.
inline __m512 load_halves(const std::byte* halves, std::size_t v) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves) + v));
}

template <class F>
inline __m512 load_d(const std::byte* d, std::size_t v) {
  if constexpr (F::codes.d_is_e8m0) {
    const __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(d) + v));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __m512i denormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(
        _mm512_mask_mov_epi32(normal, _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)), denormal));
  } else {
    return load_halves(d, v);
  }
}

// The bytes of group g, one a row.
inline __m128i group_bytes(const std::byte* section, std::size_t g, std::size_t v) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(section + g * tile_rows) + v);
}

// What d multiplies, of group g of a block: `scales` is the block's section.
template <class F>
inline __m512 scale_factor(const std::byte* scales, std::size_t g, std::size_t v) {
  constexpr CodeLayout codes = F::codes;
  const __m128i bytes = group_bytes(scales, g, v);
  __m512i scale = codes.scale_bits == 8 ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
  if constexpr (codes.scale_bits < 8 && codes.scale_bits + codes.min_bits <= 8) {
    scale = _mm512_and_si512(scale, _mm512_set1_epi32((1 << codes.scale_bits) - 1));
  }
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(scale, _mm512_set1_epi32(codes.scale_zero)));
}

// What m multiplies: from the block's mins, or from its scales where they share a byte.
template <class F>
inline __m512 min_factor(const std::byte* scales, const std::byte* mins, std::size_t g, std::size_t v) {
  constexpr CodeLayout codes = F::codes;
  if constexpr (codes.scale_bits + codes.min_bits <= 8) {
    const __m512i both = _mm512_cvtepu8_epi32(group_bytes(scales, g, v));
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(both, codes.scale_bits));
  } else {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(group_bytes(mins, g, v)));
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
