// Matmul of any coded format on AVX2: int8 dot products, exact within a group, added in float along K.
// Made into kernels by kernel.hpp; equals kernels/reference with activations rounded to int8.
//
// Tiling: 16 rows, two vectors, meet three tokens, so that each broadcast of four activations serves two dot
// products, and the integer sums stay in registers. A few tokens read the packed row tile; more read a panel.
// Bound by the multipliers from three tokens on, by memory at one.
#pragma once

#include <bit>
#include <cstring>

#include "kernels/cpu/avx2/panel.hpp"
#include "kernels/cpu/int8_rows.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

inline constexpr std::size_t token_tile = 96;  // whose activations stay in the second-level cache

// Tokens that do not pay for a panel: fewer where codes are put together from two planes.
template <class F>
constexpr std::size_t most_direct = std::has_single_bit(F::codes.code_bits) ? 11 : 3;

// Of one thread: a job's tokens, up to token_tile, and one row tile.
struct Scratch {
  Panel panel;
  float sums[token_tile][row_tile];
};

// The negative sum of the activations that group g of a plane meets.
template <class F>
inline __m256i minus_sum(const Int8Group& a, std::size_t plane, int g) {
  const __m256i minus32 = _mm256_set1_epi32(a.minus32[plane]);
  if constexpr (F::codes.group == plane_size) return minus32;
  const __m256i low = _mm256_set1_epi32(a.minus_low[plane]);
  return g == 0 ? low : _mm256_sub_epi32(minus32, low);
}

// Adds the products of the elements [begin, end) of 16 rows and `tokens` tokens to sums[token][row].
template <class F, class Dots, class Rows, std::size_t tokens>
[[gnu::noinline]] void add_products(const Rows& rows, std::size_t begin, std::size_t end,
                                    const Int8Group* const (&in)[tokens], float (*sums)[row_tile]) {
  constexpr int group_quads = F::codes.group / 4;
  for (std::size_t group = begin; group < end; group += activation_group) {
    const Int8Group* a[tokens];
    __m256 acc[tokens][halves];
    for (std::size_t t = 0; t < tokens; ++t) {
      a[t] = in[t] + group / activation_group;
      for (std::size_t half = 0; half < halves; ++half) acc[t][half] = _mm256_setzero_ps();
    }
    const std::size_t n = std::min(activation_group, end - group);
    for (std::size_t k = 0; k < n; k += plane_size) {
      const auto plane = rows.plane(group + k);
      const std::int8_t* x[tokens];
      for (std::size_t t = 0; t < tokens; ++t) x[t] = a[t]->q + k;
#pragma GCC unroll 2
      for (int g = 0; g < n_quads / group_quads; ++g) {
        __m256i minus[tokens], dot[tokens][halves];
        for (std::size_t t = 0; t < tokens; ++t) {
          minus[t] = minus_sum<F>(*a[t], k / plane_size, g);
          for (std::size_t half = 0; half < halves; ++half)
            dot[t][half] = _mm256_mullo_epi32(minus[t], _mm256_set1_epi32(Bytes<F, Dots>::bias));
        }
        Dots::template add<F>(plane, g * group_quads, (g + 1) * group_quads, x, dot);
        for (std::size_t half = 0; half < halves; ++half) {
          const __m256 scale = plane.scale(g, half);
          for (std::size_t t = 0; t < tokens; ++t)
            acc[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[t][half]), scale, acc[t][half]);
          if constexpr (F::codes.has_m) {
            const __m256 min = plane.min(g, half);
            for (std::size_t t = 0; t < tokens; ++t)
              acc[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(minus[t]), min, acc[t][half]);
          }
        }
      }
    }
    asm("" ::: "memory");  // or the sums are loaded before the loop, and crowd the others out of registers
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t half = 0; half < halves; ++half) {
        float* sum = sums[t] + half * lanes;
        _mm256_store_ps(sum, _mm256_fmadd_ps(acc[t][half], _mm256_set1_ps(a[t]->d), _mm256_load_ps(sum)));
      }
    }
  }
}

// The tokens of a job, as kernels of three and fewer take them.
struct Tokens {
  const std::byte* rows;
  std::size_t row_bytes, n;
};

template <class F, class Dots, std::size_t tokens, class Rows>
void add_tile(const Rows& rows, std::size_t begin, std::size_t end, const Tokens& in, std::size_t token,
              float (*sums)[row_tile]) {
  const Int8Group* a[tokens];
  for (std::size_t t = 0; t < tokens; ++t)
    a[t] = reinterpret_cast<const Int8Group*>(in.rows + (token + t) * in.row_bytes);
  add_products<F, Dots>(rows, begin, end, a, sums + token);
}

template <class F, class Dots, class Rows>
void add_tokens(const Rows& rows, std::size_t begin, std::size_t end, const Tokens& in,
                float (*sums)[row_tile]) {
  std::size_t t = 0;
  for (; in.n - t > 4 || in.n - t == 3; t += 3) add_tile<F, Dots, 3>(rows, begin, end, in, t, sums);
  for (; in.n - t >= 2; t += 2) add_tile<F, Dots, 2>(rows, begin, end, in, t, sums);
  if (t < in.n) add_tile<F, Dots, 1>(rows, begin, end, in, t, sums);
}

template <class F, class Dots>
void run(const MatmulJob& job) {
  const std::size_t cols = job.matrix.cols, tile_bytes = packed_row_tile_bytes(layout_of<F>(), cols);
  const std::size_t activation_bytes = int8_row_bytes(cols);
  auto& [panel, sums] = *reinterpret_cast<Scratch*>(job.scratch);
  for (std::size_t token = 0; token < job.n_tokens; token += token_tile) {
    const Tokens in{.rows = job.activations + token * activation_bytes,
                    .row_bytes = activation_bytes,
                    .n = std::min(token_tile, job.n_tokens - token)};
    for (std::size_t row = job.row_begin; row < job.row_end; row += row_tile) {
      const PackedTile<F, Dots> rows{job.matrix.bytes + row / row_tile * tile_bytes, cols / F::block_size};
      std::memset(sums, 0, in.n * sizeof(sums[0]));
      if (in.n <= most_direct<F>) {
        add_tokens<F, Dots>(rows, 0, cols, in, sums);
      } else {
        for (std::size_t begin = 0; begin < cols; begin += panel_cols) {
          const std::size_t end = std::min(cols, begin + panel_cols);
          unpack(rows, begin, end, panel);
          add_tokens<F, Dots>(PanelTile<F>{panel, begin}, begin, end, in, sums);
        }
      }
      const std::size_t n_rows = std::min(row_tile, job.row_end - row);
      for (std::size_t t = 0; t < in.n; ++t)
        std::memcpy(job.out + (token + t) * job.out_stride + row, sums[t], n_rows * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
