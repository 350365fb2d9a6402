// Matmul of F32, F16 and BF16 weights with float activations, on a tier's vectors.
// A tier's matmul_floats.cpp makes its kernels of it; equals kernels/reference.
//
// Tiling: `vectors` vectors of rows meet up to `tokens` tokens in registers, 256 columns at a time: an output
// is one chain of multiply_adds over each 256 columns, these added in order. Where tokens come in more than
// one group, halves are decoded once for all (256 columns of a row tile: 32 KB for 32 rows). Bound by the
// multipliers, by memory for a few tokens.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/cpu/packed_rows.hpp"
#include "kernels/cpu/vector/batch.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {
namespace {

inline constexpr std::size_t float_panel = 256;      // columns
inline constexpr std::size_t float_token_tile = 96;  // of a job
inline constexpr std::size_t stream_ahead = 4096;    // bytes; of a single token

// Activations stay floats; a row ends in zeros up to an odd number of lines, so that the rows of a tile
// spread over all sets of a cache.
inline std::size_t float_row_bytes(std::size_t cols) { return ((cols * sizeof(float) + 63) / 64 | 1) * 64; }

inline void copy_floats(const float* in, std::size_t cols, std::byte* out) {
  std::memcpy(out, in, cols * sizeof(float));
  std::memset(out + cols * sizeof(float), 0, float_row_bytes(cols) - cols * sizeof(float));
}

inline constexpr ActivationForm float_rows = {float_row_bytes, copy_floats};

// Elements of a word of 4 bytes.
template <class F>
inline constexpr std::size_t per_word = 4 / sizeof(typename F::Block);

// The elements of each word.
template <class Arch, class F>
[[gnu::always_inline]] inline void expand(const std::byte* words, Floats<Arch> (&out)[per_word<F>]) {
  const auto floats = Floats<Arch>::load_aligned(reinterpret_cast<const float*>(words));
  const auto word = as<Words<Arch>>(floats);
  if constexpr (std::is_same_v<F, F32>) out[0] = floats;
  if constexpr (std::is_same_v<F, F16>) expand_halves<Arch>(word, out);
  if constexpr (std::is_same_v<F, BF16>) {
    out[0] = as<Floats<Arch>>(word << 16);
    out[1] = as<Floats<Arch>>(word & Words<Arch>(0xffff0000u));
  }
}

template <class Arch, std::size_t vectors, std::size_t most_tokens>
struct FloatMatmul {
  using V = Floats<Arch>;
  static constexpr std::size_t rows = vectors * lanes<Arch>;
  static constexpr std::size_t word_bytes = 4 * rows;  // one word of every row

  struct Scratch {
    alignas(64) float panel[float_panel][rows];
    float sums[float_token_tile][rows];
  };

  // sums[t] += the products of n columns of a row tile with each token's activations.
  template <class F, std::size_t tokens>
  [[gnu::noinline]] static void add_panel(const std::byte* words, const float* a, std::size_t a_stride,
                                          std::size_t n, float (*sums)[rows]) {
    V sum[tokens][vectors];
#pragma GCC unroll 16
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t v = 0; v < vectors; ++v) sum[t][v] = V(0.0f);
    }
    for (std::size_t k = 0; k < n; k += per_word<F>, words += word_bytes, a += per_word<F>) {
      V w[vectors][per_word<F>];
      for (std::size_t v = 0; v < vectors; ++v) {
        expand<Arch, F>(words + v * sizeof(V), w[v]);
        if (tokens == 1) __builtin_prefetch(words + stream_ahead + v * sizeof(V));
      }
#pragma GCC unroll 2
      for (std::size_t i = 0; i < per_word<F>; ++i) {
#pragma GCC unroll 16
        for (std::size_t t = 0; t < tokens; ++t) {
          const V x(a[t * a_stride + i]);
          for (std::size_t v = 0; v < vectors; ++v) sum[t][v] = multiply_add<Arch>(w[v][i], x, sum[t][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t v = 0; v < vectors; ++v) {
        float* total = sums[t] + v * lanes<Arch>;
        (V::load_unaligned(total) + sum[t][v]).store_unaligned(total);
      }
    }
  }

  using AddPanel = void (*)(const std::byte*, const float*, std::size_t, std::size_t, float (*)[rows]);

  // add_panel for 1, 2, ... tokens.
  template <class F, std::size_t... t>
  static constexpr std::array<AddPanel, most_tokens> list_panels(std::index_sequence<t...>) {
    return {add_panel<F, t + 1>...};
  }
  template <class F>
  static constexpr auto add_panels = list_panels<F>(std::make_index_sequence<most_tokens>());

  template <class F>
  static void decode_panel(const std::byte* words, std::size_t n, float (*panel)[rows]) {
    for (std::size_t k = 0; k < n; k += per_word<F>, words += word_bytes) {
      for (std::size_t v = 0; v < vectors; ++v) {
        V w[per_word<F>];
        expand<Arch, F>(words + v * sizeof(V), w);
        for (std::size_t i = 0; i < per_word<F>; ++i) w[i].store_aligned(panel[k + i] + v * lanes<Arch>);
      }
    }
  }

  // One row tile for at most float_token_tile tokens.
  template <class F>
  static void run_tile(const MatmulJob& job, Scratch& scratch, const std::byte* tile, std::size_t token,
                       std::size_t n_tokens) {
    const std::size_t a_stride = float_row_bytes(job.matrix.cols) / sizeof(float);
    const float* a = reinterpret_cast<const float*>(job.activations) + token * a_stride;
    const std::size_t groups = (n_tokens + most_tokens - 1) / most_tokens;
    std::memset(scratch.sums, 0, n_tokens * sizeof scratch.sums[0]);
    for (std::size_t k = 0; k < job.matrix.cols; k += float_panel) {
      const std::size_t n = std::min(float_panel, job.matrix.cols - k);
      const std::byte* words = tile + k / per_word<F> * word_bytes;
      auto* add = add_panels<F>.data();
      if (groups > 1 && !std::is_same_v<F, F32>) {
        decode_panel<F>(words, n, scratch.panel);
        words = reinterpret_cast<const std::byte*>(scratch.panel);
        add = add_panels<F32>.data();
      }
      for (std::size_t g = 0; g < groups; ++g) {
        const std::size_t begin = n_tokens * g / groups, end = n_tokens * (g + 1) / groups;
        add[end - begin - 1](words, a + begin * a_stride + k, a_stride, n, scratch.sums + begin);
      }
    }
  }

  template <class F>
  static void run(const MatmulJob& job) {
    Scratch& scratch = *reinterpret_cast<Scratch*>(job.scratch);
    const std::size_t tile_bytes =
        packed_row_tile_bytes(packed_layout(*job.matrix.format, rows), job.matrix.cols);
    for (std::size_t token = 0; token < job.n_tokens; token += float_token_tile) {
      const std::size_t n_tokens = std::min(float_token_tile, job.n_tokens - token);
      for (std::size_t row = job.row_begin; row < job.row_end; row += rows) {
        run_tile<F>(job, scratch, job.matrix.bytes + row / rows * tile_bytes, token, n_tokens);
        const std::size_t n = std::min(rows, job.row_end - row) * sizeof(float);
        for (std::size_t t = 0; t < n_tokens; ++t)
          std::memcpy(job.out + (token + t) * job.out_stride + row, scratch.sums[t], n);
      }
    }
  }

  static std::size_t scratch_bytes(std::size_t) { return sizeof(Scratch); }

  template <class F, const char* name>
  static constexpr MatmulKernel kernel = {.name = name,
                                          .row_tile = rows,
                                          .token_tile = float_token_tile,
                                          .packed_bytes = PackedRows<rows>::bytes,
                                          .pack = PackedRows<rows>::pack,
                                          .decode_row = PackedRows<rows>::decode_row,
                                          .form = &float_rows,
                                          .scratch_bytes = scratch_bytes,
                                          .run = run<F>};

  // The kernel for a format of floats; null for any other.
  template <const char* float32_name, const char* float16_name>
  static const MatmulKernel* find(const Format& format) {
    switch (format.dtype) {
      case Dtype::F32: return &kernel<F32, float32_name>;
      case Dtype::F16: return &kernel<F16, float16_name>;
      case Dtype::BF16: return &kernel<BF16, float16_name>;
      default: return nullptr;
    }
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu
