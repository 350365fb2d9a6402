// Matmul of any coded format on NEON: int8 dot products, exact within a group, added in float along K. Used
// by kernel.hpp; equals kernels/reference with activations rounded to int8.
//
// Up to four tokens run on the packed stream, 8 rows at a time, bound by memory. More meet panels: 32 rows by
// 256 elements are decoded into the first-level cache, and all tokens of the job run over them; bound by the
// multipliers. Totals wait in scratch from one stretch of K to the next.
#pragma once

#include "kernels/cpu/neon/dot_tile.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

inline constexpr std::size_t token_tile = 60;  // whose activations stay in the second-level cache
inline constexpr std::size_t panel_tiles = 4;  // row tiles that share what is made of activations

// Of one thread.
template <class Form>
struct Scratch {
  static constexpr std::size_t token_parts = token_tile / Form::most_tokens;
  Panel<Form> panels[panel_tiles];
  typename Form::Activations activations;
  float totals[token_parts][panel_tiles][Form::most_tokens * lanes];
};

// Calls visit(n as a constant) for n from 1 to most.
template <std::size_t most, class Visit>
inline void with_constant(std::size_t n, Visit visit) {
  if constexpr (most > 1) {
    if (n < most) return with_constant<most - 1>(n, visit);
  }
  visit(std::integral_constant<std::size_t, most>());
}

inline void find_rows(const MatmulJob& job, std::size_t token, std::size_t n, const Int8Group** rows) {
  const std::size_t row_bytes = int8_row_bytes(job.matrix.cols);
  for (std::size_t t = 0; t < n; ++t)
    rows[t] = reinterpret_cast<const Int8Group*>(job.activations + (token + t) * row_bytes);
}

template <class F>
inline const std::byte* row_tile(const Matrix& m, std::size_t row) {
  return m.bytes + row / lanes * packed_row_tile_bytes(layout_of<F>(), m.cols);
}

// Few tokens: each weight is unpacked in registers and met by all of them.
template <class F, std::size_t tokens>
[[gnu::noinline]] void run_stream(const MatmulJob& job) {
  const Int8Group* a[tokens];
  find_rows(job, 0, tokens, a);
  for (std::size_t row = job.row_begin; row < job.row_end; row += lanes) {
    float totals[tokens * lanes] = {};
    const PackedTile<F> rows{row_tile<F>(job.matrix, row), job.matrix.cols};
    DotTile<groups_of<F>, tokens>().run(rows, a, 0, job.matrix.cols, totals);
    for (std::size_t t = 0; t < tokens; ++t)
      Dots::store_totals(totals, t, std::min(lanes, job.row_end - row), job.out + t * job.out_stride + row);
  }
}

// Up to token_tile tokens from `token` on, up to panel_tiles row tiles from `row` on.
template <class F, class Form>
void run_panels(const MatmulJob& job, std::size_t row, std::size_t token, std::size_t n_tokens) {
  auto& scratch = *reinterpret_cast<Scratch<Form>*>(job.scratch);
  const std::size_t cols = job.matrix.cols;
  const std::size_t tiles = std::min(panel_tiles, (job.row_end - row + lanes - 1) / lanes);
  // Calls visit(part, first token, number of tokens).
  const auto for_parts = [&](auto visit) {
    for (std::size_t t = 0; t < n_tokens; t += Form::most_tokens)
      visit(scratch.totals[t / Form::most_tokens], token + t, std::min(Form::most_tokens, n_tokens - t));
  };
  std::fill_n(&scratch.totals[0][0][0], sizeof scratch.totals / sizeof(float), 0.0f);
  for (std::size_t begin = 0; begin < cols; begin += stretch) {
    const std::size_t end = std::min(cols, begin + stretch);
    for (std::size_t r = 0; r < tiles; ++r)
      decode_panel<F>(row_tile<F>(job.matrix, row + r * lanes), cols, begin, end, scratch.panels[r]);
    for_parts([&](auto& totals, std::size_t first, std::size_t n) {
      const Int8Group* a[Form::most_tokens];
      find_rows(job, first, n, a);
      Form::template gather<groups_of<F>>(a, n, begin, end, scratch.activations);
      with_constant<Form::most_tokens>(n,
                                       [&]<std::size_t tokens>(std::integral_constant<std::size_t, tokens>) {
                                         for (std::size_t r = 0; r < tiles; ++r)
                                           Form::template run<groups_of<F>, tokens>(
                                               scratch.panels[r], scratch.activations, begin, end, totals[r]);
                                       });
    });
  }
  for_parts([&](auto& totals, std::size_t first, std::size_t n) {
    for (std::size_t t = 0; t < n; ++t) {
      for (std::size_t r = 0; r < tiles; ++r) {
        const std::size_t at = row + r * lanes;
        Form::store_totals(totals[r], t, std::min(lanes, job.row_end - at),
                           job.out + (first + t) * job.out_stride + at);
      }
    }
  });
}

template <class F, class Form>
void run(const MatmulJob& job) {
  constexpr std::size_t few = Dots::most_tokens;
  if (job.n_tokens <= few) {
    return with_constant<few>(
        job.n_tokens,
        [&]<std::size_t tokens>(std::integral_constant<std::size_t, tokens>) { run_stream<F, tokens>(job); });
  }
  for (std::size_t token = 0; token < job.n_tokens; token += token_tile) {
    for (std::size_t row = job.row_begin; row < job.row_end; row += panel_tiles * lanes)
      run_panels<F, Form>(job, row, token, std::min(token_tile, job.n_tokens - token));
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
