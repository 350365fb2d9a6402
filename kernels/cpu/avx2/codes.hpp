// Packed codes, scales and mins as the AVX2 matmul reads them: 16 rows are two vectors, four consecutive
// elements of each row in its lane. Used by panel.hpp and matmul.hpp; quant/packed.hpp draws the layout.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "nibble/quant/formats.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

inline constexpr std::size_t lanes = 8;          // rows of a vector
inline constexpr std::size_t halves = 2;         // vectors of a row tile
inline constexpr std::size_t row_tile = 16;      // their rows
inline constexpr std::size_t vector_bytes = 32;  // half of what packed.hpp calls a vector
inline constexpr std::size_t plane_size = 32;    // elements whose planes lie together
inline constexpr int n_quads = 8;                // of them

template <class F>
constexpr int lowest_level() {
  if constexpr (HasLevels<F>) return *std::min_element(F::levels, F::levels + 16);
  return F::codes.code_bits == 8 ? -128 : -F::codes.zero;
}

template <class F>
constexpr int highest_level() {
  if constexpr (HasLevels<F>) return *std::max_element(F::levels, F::levels + 16);
  return lowest_level<F>() + (1 << F::codes.code_bits) - 1;
}

// The bytes that stand for a format's levels in dot products: moved up by `bias` to be unsigned, unless the
// kind of dot product cannot take so large ones.
template <class F, class Dots>
struct Bytes {
  static constexpr int range = highest_level<F>() - lowest_level<F>();
  static constexpr bool are_signed = range > Dots::largest_byte;
  static constexpr int bias = are_signed ? 0 : -lowest_level<F>();
};

template <class F>
constexpr PackedLayout layout_of() {
  constexpr CodeLayout codes = F::codes;
  Format format{};
  format.block_size = F::block_size;
  format.block_bytes = sizeof(typename F::Block);
  format.codes = codes;
  return packed_layout(format, row_tile);
}

inline __m256i load(const std::byte* bytes) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
}

// Field `field` (of `bits` bits) of every byte, moved to bit `place`.
template <int bits, int place = 0>
inline __m256i field_of(const std::byte* vector, int field) {
  const __m256i x = load(vector);
  const int right = bits * field - place;
  const __m256i moved = right > 0   ? _mm256_srli_epi16(x, right)
                        : right < 0 ? _mm256_slli_epi16(x, -right)
                                    : x;
  return _mm256_and_si256(moved, _mm256_set1_epi8(((1 << bits) - 1) << place));
}

// A table's bytes, for both 128-bit parts.
template <class F, class Dots>
inline __m256i level_table() {
  alignas(16) std::int8_t bytes[16];
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<std::int8_t>(F::levels[i] + Bytes<F, Dots>::bias);
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
}

// Quad j (elements 4 j to 4 j + 3) of 32 elements of one half's rows; `planes` is where that half begins.
template <class F, class Dots>
inline __m256i load_quad(const std::byte* planes, int j) {
  constexpr int bits = F::codes.code_bits;
  constexpr std::size_t vector = halves * vector_bytes;
  if constexpr (bits == 8) {
    const __m256i codes = load(planes + j * vector);
    return Bytes<F, Dots>::are_signed ? codes : _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  } else if constexpr (bits == 2 || bits == 3) {
    const __m256i low = field_of<2>(planes + j % 2 * vector, j / 2);
    if constexpr (bits == 2) return low;
    return _mm256_or_si256(low, field_of<1, 2>(planes + 2 * vector, j));
  } else {
    const __m256i low = field_of<4>(planes + j % 4 * vector, j / 4);
    if constexpr (HasLevels<F>) return _mm256_shuffle_epi8(level_table<F, Dots>(), low);
    if constexpr (bits == 5) return _mm256_or_si256(low, field_of<1, 4>(planes + 4 * vector, j));
    if constexpr (bits == 6)
      return _mm256_or_si256(low, field_of<2, 4>(planes + (4 + j % 2) * vector, j / 2));
    return low;
  }
}

// The order in which the quads of a plane are best read: 4-bit vectors pair those that are four apart.
template <class F>
constexpr int quad_at(int i) {
  return F::codes.group == 32 && F::codes.code_bits >= 4 && F::codes.code_bits <= 6 ? i / 2 + i % 2 * 4 : i;
}

// The four activations that meet quad q, for every row.
inline __m256i broadcast_quad(const std::int8_t* x, int q) {
  return _mm256_set1_epi32(reinterpret_cast<const std::int32_t*>(x)[q]);
}

inline __m128i load_8(const std::byte* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

inline __m256 load_halves(const std::byte* d) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(d)));
}

// 32 elements of a row tile as they are packed: where their codes, scales and mins are.
template <class F, class Dots>
struct PackedPlane {
  static constexpr CodeLayout codes = F::codes;

  const std::byte *planes, *scales, *mins, *d, *m;

  [[gnu::always_inline]] inline __m256i quad(int q, std::size_t half) const {
    return load_quad<F, Dots>(planes + half * vector_bytes, q);
  }

  // Of the plane's group g.
  [[gnu::always_inline]] inline __m256 scale(std::size_t g, std::size_t half) const {
    __m256 s;
    if constexpr (codes.d_is_e8m0) {
      const __m256i e = _mm256_cvtepu8_epi32(load_8(d + half * lanes));
      const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
      const __m256i denormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
      s = _mm256_castsi256_ps(
          _mm256_blendv_epi8(normal, denormal, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
    } else {
      s = load_halves(d + half * 2 * lanes);
    }
    if constexpr (codes.scale_bits != 0) {
      const __m128i bytes = load_8(scales + g * row_tile + half * lanes);
      __m256i factor = codes.scale_bits == 8 ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
      if constexpr (codes.scale_bits < 8 && codes.scale_bits + codes.min_bits <= 8) {
        factor = _mm256_and_si256(factor, _mm256_set1_epi32((1 << codes.scale_bits) - 1));
      }
      factor = _mm256_sub_epi32(factor, _mm256_set1_epi32(codes.scale_zero));
      s = _mm256_mul_ps(s, _mm256_cvtepi32_ps(factor));
    }
    return s;
  }

  // What the negative sum of the activations is multiplied by.
  [[gnu::always_inline]] inline __m256 min(std::size_t g, std::size_t half) const {
    const __m256 min = load_halves(m + half * 2 * lanes);
    if constexpr (codes.min_bits == 0) return _mm256_sub_ps(_mm256_setzero_ps(), min);  // min(g) is +m
    constexpr bool with_scales = codes.scale_bits + codes.min_bits <= 8;
    const std::byte* bytes = (with_scales ? scales : mins) + g * row_tile + half * lanes;
    __m256i factor = _mm256_cvtepu8_epi32(load_8(bytes));
    if constexpr (with_scales) factor = _mm256_srli_epi32(factor, codes.scale_bits);
    return _mm256_mul_ps(min, _mm256_cvtepi32_ps(factor));
  }
};

// A row tile as it is packed.
template <class F, class Dots>
struct PackedTile {
  static constexpr PackedLayout layout = layout_of<F>();
  static constexpr std::size_t prefetch_ahead = 8192;  // bytes

  const std::byte* tile;
  std::size_t n_blocks;

  // The elements from k on.
  [[gnu::always_inline]] inline PackedPlane<F, Dots> plane(std::size_t k) const {
    constexpr std::size_t size = F::codes.group, bytes = layout.block_bytes() * plane_size / F::block_size;
    for (std::size_t i = 0; i < bytes; i += 64)
      _mm_prefetch(tile + k / plane_size * bytes + i + prefetch_ahead, _MM_HINT_T0);
    const std::size_t block = k / F::block_size, element = k % F::block_size;
    const std::size_t first = block / layout.tile_blocks * layout.tile_blocks, in_tile = block - first;
    const std::size_t n = std::min<std::size_t>(layout.tile_blocks, n_blocks - first);
    const std::byte* codes = tile + first * layout.block_bytes();
    const std::byte *scales = codes + n * layout.codes, *mins = scales + n * layout.scales;
    const std::byte *d = mins + n * layout.mins, *m = d + n * layout.d;
    return {.planes = codes + in_tile * layout.codes + element * F::codes.code_bits * row_tile / 8,
            .scales = scales + in_tile * layout.scales + element / size * row_tile,
            .mins = mins + in_tile * layout.mins + element / size * row_tile,
            .d = d + in_tile * layout.d,
            .m = m + in_tile * layout.m};
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
