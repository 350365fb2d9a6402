// Matmul of any coded format on AVX-512 VNNI: int8 dot products, exact within a group, added in float along
// K. Instantiated for each family by matmul_<family>.cpp; equals kernels/reference with activations rounded
// to int8.
//
// Tiling: two tiles of 16 rows meet five tokens, so that each broadcast of four activations serves two dot
// products; 10 integer and 10 float sums stay in registers. Bound by the multipliers from five tokens on, by
// memory at one.
#pragma once

#include <algorithm>

#include "kernels/cpu/avx512/activations.hpp"
#include "kernels/cpu/avx512/codes.hpp"
#include "kernels/cpu/table.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

inline constexpr std::size_t most_tokens = 5;
inline constexpr std::size_t most_tiles = 2;
inline constexpr std::size_t prefetch_ahead = 4096;  // bytes of the weight stream

// One block's sections in each row tile, as the inner loop walks them.
template <class F>
struct BlockAt {
  const std::byte *codes, *scales, *mins, *d, *m;
};

template <class F>
constexpr PackedLayout layout_of() {
  constexpr CodeLayout codes = F::codes;
  Format format{};
  format.block_size = F::block_size;
  format.block_bytes = sizeof(typename F::Block);
  format.codes = codes;
  return packed_layout(format, lanes);
}

// Block `block` of the row tile at `tile`, which has n_blocks.
template <class F>
inline BlockAt<F> block_at(const std::byte* tile, std::size_t block, std::size_t n_blocks) {
  constexpr PackedLayout l = layout_of<F>();
  const std::size_t first = block / l.tile_blocks * l.tile_blocks, in_tile = block - first;
  const std::size_t n = std::min<std::size_t>(l.tile_blocks, n_blocks - first);
  const std::byte* at = tile + first * l.block_bytes();
  return {at + in_tile * l.codes, at + n * l.codes + in_tile * l.scales,
          at + n * (l.codes + l.scales) + in_tile * l.mins,
          at + n * (l.codes + l.scales + l.mins) + in_tile * l.d,
          at + n * (l.codes + l.scales + l.mins + l.d) + in_tile * l.m};
}

// A run of tokens and row tiles whose sums stay in registers.
template <class F, std::size_t tokens, std::size_t tiles>
struct Tile {
  static constexpr CodeLayout codes = F::codes;
  static constexpr std::size_t group_quads = codes.group / 4;
  static constexpr int bias_bits = log2_of(Unsigned<F>::bias);

  __m512 sum[tokens][tiles];

  // Adds `n` quads from quad `first` on of the 32 elements at k: one group, or one plane of it.
  [[gnu::always_inline]] inline void add_group(const BlockAt<F> (&at)[tiles], std::size_t plane,
                                               std::size_t quad, std::size_t g, std::size_t k,
                                               const ActivationRow (&a)[tokens]) {
    __m512i dot[tokens][tiles];
    for (std::size_t t = 0; t < tokens; ++t) {
      __m512i start = _mm512_setzero_si512();
      if constexpr (Unsigned<F>::bias != 0) {
        std::int32_t minus = a[t].s[k / sum_group];
        if constexpr (codes.group > sum_group) minus += a[t].s[k / sum_group + 1];
        start = _mm512_slli_epi32(_mm512_set1_epi32(minus), bias_bits);
      }
      for (std::size_t r = 0; r < tiles; ++r) dot[t][r] = start;
    }
    constexpr std::size_t plane_bytes = codes.code_bits * 4 * lanes;
#pragma GCC unroll 8
    for (std::size_t q = 0; q < group_quads; ++q) {
      __m512i w[tiles];
      for (std::size_t r = 0; r < tiles; ++r)
        w[r] = load_quad<F>(at[r].codes + plane * plane_bytes, static_cast<int>(quad + q));
      for (std::size_t t = 0; t < tokens; ++t) {
        const __m512i x = _mm512_set1_epi32(reinterpret_cast<const std::int32_t*>(a[t].q + k)[q]);
        for (std::size_t r = 0; r < tiles; ++r) dot[t][r] = _mm512_dpbusd_epi32(dot[t][r], w[r], x);
      }
    }
    for (std::size_t r = 0; r < tiles; ++r) {
      __m512 scale = load_d<F>(at[r].d);
      if constexpr (codes.scale_bits != 0) scale = _mm512_mul_ps(scale, scale_factor<F>(at[r].scales, g));
      __m512 min = _mm512_setzero_ps();
      if constexpr (codes.has_m)
        min = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at[r].m)));
      if constexpr (codes.min_bits != 0) min = _mm512_mul_ps(min, min_factor<F>(at[r].scales, at[r].mins, g));
      for (std::size_t t = 0; t < tokens; ++t) {
        const float d = a[t].d[k / activation_group];
        sum[t][r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t][r]), _mm512_mul_ps(scale, _mm512_set1_ps(d)),
                                    sum[t][r]);
        if constexpr (codes.has_m) {
          std::int32_t minus = a[t].s[k / sum_group];
          if constexpr (codes.group > sum_group) minus += a[t].s[k / sum_group + 1];
          const __m512 s = _mm512_set1_ps(d * static_cast<float>(codes.min_bits != 0 ? minus : -minus));
          sum[t][r] = _mm512_fmadd_ps(min, s, sum[t][r]);
        }
      }
    }
  }

  [[gnu::always_inline]] inline void run(const std::byte* tile, std::size_t tile_bytes, std::size_t cols,
                                         const ActivationRow (&a)[tokens]) {
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t r = 0; r < tiles; ++r) sum[t][r] = _mm512_setzero_ps();
    constexpr std::size_t groups = F::block_size / codes.group;
    const std::size_t n_blocks = cols / F::block_size;
    for (std::size_t block = 0; block < n_blocks; ++block) {
      BlockAt<F> at[tiles];
      for (std::size_t r = 0; r < tiles; ++r) at[r] = block_at<F>(tile + r * tile_bytes, block, n_blocks);
      if constexpr (tokens == 1) {
        constexpr std::size_t bytes = layout_of<F>().block_bytes();
        for (std::size_t i = 0; i < bytes; i += 64)
          _mm_prefetch(at[0].codes + prefetch_ahead + i, _MM_HINT_T0);
      }
      for (std::size_t g = 0; g < groups; ++g) {
        const std::size_t element = g * codes.group;
        add_group(at, element / plane_size, element % plane_size / 4, g, block * F::block_size + element, a);
      }
    }
  }
};

template <class F, std::size_t tokens, std::size_t tiles>
[[gnu::noinline]] void run_tile(const MatmulJob& job, std::size_t row, std::size_t token,
                                std::size_t tile_bytes, const ActivationLayout& form) {
  ActivationRow a[tokens];
  for (std::size_t t = 0; t < tokens; ++t)
    a[t] = activation_row(job.activations + (token + t) * form.bytes, form);
  Tile<F, tokens, tiles> tile;
  tile.run(job.matrix.bytes + row / lanes * tile_bytes, tile_bytes, job.matrix.cols, a);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < tiles; ++r) {
      const std::size_t first = row + r * lanes, n = std::min(lanes, job.row_end - first);
      const auto mask = static_cast<__mmask16>((1u << n) - 1);
      _mm512_mask_storeu_ps(job.out + (token + t) * job.out_stride + first, mask, tile.sum[t][r]);
    }
  }
}

template <class F, std::size_t tiles>
void run_tokens(const MatmulJob& job, std::size_t row, std::size_t tile_bytes, const ActivationLayout& form) {
  std::size_t t = 0;
  for (; t + most_tokens <= job.n_tokens; t += most_tokens)
    run_tile<F, most_tokens, tiles>(job, row, t, tile_bytes, form);
  switch (job.n_tokens - t) {
    case 4: return run_tile<F, 4, tiles>(job, row, t, tile_bytes, form);
    case 3: return run_tile<F, 3, tiles>(job, row, t, tile_bytes, form);
    case 2: return run_tile<F, 2, tiles>(job, row, t, tile_bytes, form);
    case 1: return run_tile<F, 1, tiles>(job, row, t, tile_bytes, form);
    default: return;
  }
}

template <class F>
void run(const MatmulJob& job) {
  const std::size_t tile_bytes = packed_row_tile_bytes(layout_of<F>(), job.matrix.cols);
  const ActivationLayout form = activation_layout(job.matrix.cols);
  std::size_t row = job.row_begin;
  // A single token reads one stream at a time: two fall to half of the memory's speed.
  if (job.n_tokens > 1) {
    for (; row + lanes < job.row_end; row += most_tiles * lanes)
      run_tokens<F, most_tiles>(job, row, tile_bytes, form);
  }
  for (; row < job.row_end; row += lanes) run_tokens<F, 1>(job, row, tile_bytes, form);
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
