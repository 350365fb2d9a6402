// Matmul of BF16 weights with activations rounded to BF16: two products a lane and instruction.
// Equals kernels/reference within the tolerance of such activations; the packed layout is that of floats.
//
// Tiling: 32 rows meet up to twelve tokens in registers, 256 columns at a time: an output is one chain of dot
// products of two columns over each 256, these added in order. Bound by the multipliers, by memory for a few
// tokens.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/cpu/avx512_bf16/avx512_bf16.hpp"
#include "kernels/cpu/packed_rows.hpp"

namespace nibble::inline v0::cpu::avx512_bf16 {
namespace {

constexpr std::size_t lanes = 16, vectors = 2, tile_rows = vectors * lanes;
constexpr std::size_t most_tokens = 12;  // that share registers
constexpr std::size_t token_tile = 96;   // of a job
constexpr std::size_t panel_pairs = 128;
constexpr std::size_t stream_ahead = 4096;  // bytes

struct Scratch {
  alignas(64) float sums[token_tile][tile_rows];
};

// Pairs of columns, an odd number of lines, so that the rows of a tile spread over all sets of a cache; zeros
// beyond the last column.
std::size_t row_bytes(std::size_t cols) { return ((cols * 2 + 63) / 64 | 1) * 64; }

void round_row(const float* in, std::size_t cols, std::byte* out) {
  const std::byte* const end = out + row_bytes(cols);
  for (; cols > 0; out += 2 * lanes) {
    const std::size_t n = std::min(lanes, cols);
    const __m512 x = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), in);
    const __m256bh rounded = _mm512_cvtneps_pbh(x);
    std::memcpy(out, &rounded, sizeof rounded);
    in += n;
    cols -= n;
  }
  std::memset(out, 0, static_cast<std::size_t>(end - out));
}

constexpr ActivationForm bf16_rows = {row_bytes, round_row};

// sums[t] += the products of n pairs of columns of a row tile with each token's.
template <std::size_t tokens>
[[gnu::noinline]] void add_panel(const std::byte* weights, const std::byte* a, std::size_t a_stride,
                                 std::size_t n, float (*sums)[tile_rows]) {
  __m512 sum[tokens][vectors];
  for (auto& of_token : sum)
    for (__m512& s : of_token) s = _mm512_setzero_ps();
  for (std::size_t k = 0; k < n; ++k) {
    __m512i w[vectors];
    for (std::size_t v = 0; v < vectors; ++v, weights += sizeof w[v]) {
      w[v] = _mm512_load_si512(weights);
      _mm_prefetch(weights + stream_ahead, _MM_HINT_T0);
    }
#pragma GCC unroll 16
    for (std::size_t t = 0; t < tokens; ++t) {
      std::int32_t pair;
      std::memcpy(&pair, a + t * a_stride + k * sizeof pair, sizeof pair);
      const __m512i x = _mm512_set1_epi32(pair);
      for (std::size_t v = 0; v < vectors; ++v)
        sum[t][v] =
            _mm512_dpbf16_ps(sum[t][v], reinterpret_cast<__m512bh>(w[v]), reinterpret_cast<__m512bh>(x));
    }
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t v = 0; v < vectors; ++v) {
      float* total = sums[t] + v * lanes;
      _mm512_store_ps(total, _mm512_add_ps(_mm512_load_ps(total), sum[t][v]));
    }
  }
}

using AddPanel = void (*)(const std::byte*, const std::byte*, std::size_t, std::size_t, float (*)[tile_rows]);

// add_panel for 1, 2, ... tokens.
template <std::size_t... t>
constexpr std::array<AddPanel, most_tokens> list_panels(std::index_sequence<t...>) {
  return {add_panel<t + 1>...};
}
constexpr auto add_panels = list_panels(std::make_index_sequence<most_tokens>());

// One row tile for at most token_tile tokens.
void run_tile(const std::byte* tile, std::size_t cols, const std::byte* a, std::size_t n_tokens,
              float (*sums)[tile_rows]) {
  const std::size_t n_pairs = (cols + 1) / 2, groups = (n_tokens + most_tokens - 1) / most_tokens;
  std::memset(sums, 0, n_tokens * sizeof *sums);
  for (std::size_t k = 0; k < n_pairs; k += panel_pairs) {
    const std::size_t n = std::min(panel_pairs, n_pairs - k);
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t begin = n_tokens * g / groups, end = n_tokens * (g + 1) / groups;
      add_panels[end - begin - 1](tile + k * 4 * tile_rows, a + begin * row_bytes(cols) + k * 4,
                                  row_bytes(cols), n, sums + begin);
    }
  }
}

void run(const MatmulJob& job) {
  const std::size_t cols = job.matrix.cols;
  const std::size_t tile_bytes = packed_row_tile_bytes(packed_layout(*job.matrix.format, tile_rows), cols);
  auto& sums = reinterpret_cast<Scratch*>(job.scratch)->sums;
  for (std::size_t token = 0; token < job.n_tokens; token += token_tile) {
    const std::size_t n_tokens = std::min(token_tile, job.n_tokens - token);
    for (std::size_t row = job.row_begin; row < job.row_end; row += tile_rows) {
      run_tile(job.matrix.bytes + row / tile_rows * tile_bytes, cols,
               job.activations + token * row_bytes(cols), n_tokens, sums);
      const std::size_t n = std::min(tile_rows, job.row_end - row) * sizeof(float);
      for (std::size_t t = 0; t < n_tokens; ++t)
        std::memcpy(job.out + (token + t) * job.out_stride + row, sums[t], n);
    }
  }
}

std::size_t scratch_bytes(std::size_t) { return sizeof(Scratch); }

}  // namespace

const MatmulKernel bf16_kernel = {.name = "bf16/avx512_bf16",
                                  .row_tile = tile_rows,
                                  .token_tile = token_tile,
                                  .packed_bytes = PackedRows<tile_rows>::bytes,
                                  .pack = PackedRows<tile_rows>::pack,
                                  .decode_row = PackedRows<tile_rows>::decode_row,
                                  .form = &bf16_rows,
                                  .scratch_bytes = scratch_bytes,
                                  .run = run};

}  // namespace nibble::inline v0::cpu::avx512_bf16
