// Matmul for every format: rows are decoded a panel at a time and multiplied in float.
// The reference it equals is kernels/reference; the fallback of every other tier.
//
// Tiling: 16 rows x 256 columns of weights are decoded (16 KB) and meet up to 48 tokens, whose sums (24 KB)
// wait between panels, so one decode serves 48 tokens. Bound by decoding below about 8 tokens, by the
// multipliers above.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/portable/dots.hpp"
#include "kernels/cpu/portable/portable.hpp"

namespace nibble::inline v0::cpu::portable {

namespace {

constexpr std::size_t row_tile = 16;
constexpr std::size_t token_tile = 48;
constexpr std::size_t panel = 256;  // columns; a multiple of every block size
constexpr std::size_t line = 64;    // bytes of alignment

struct Scratch {
  alignas(line) float weights[row_tile][panel];
  Sum sums[token_tile][row_tile];
};

// Activations stay floats; a row ends in zeros up to a whole number of lanes.
std::size_t activation_bytes(std::size_t cols) { return (cols * sizeof(float) + line - 1) / line * line; }

void convert(const float* in, std::size_t cols, std::byte* out) {
  std::memcpy(out, in, cols * sizeof(float));
  std::memset(out + cols * sizeof(float), 0, activation_bytes(cols) - cols * sizeof(float));
}

const std::byte* row_bytes_at(const Matrix& m, std::size_t row, std::size_t col) {
  return m.bytes + (row * m.cols + col) / m.format->block_size * m.format->block_bytes;
}

void decode_row(const Matrix& m, std::size_t row, float* out) {
  m.format->decode(row_bytes_at(m, row, 0), out, m.cols);
}

template <std::size_t tokens>
void add_panel(Scratch& scratch, std::size_t n_rows, std::size_t n, const float* a, std::size_t a_stride,
               std::size_t token) {
  std::size_t r = 0;
  for (; r + 2 <= n_rows; r += 2)
    accumulate<2, tokens>(scratch.weights[r], panel, a, a_stride, n, &scratch.sums[token][r], row_tile);
  if (r < n_rows)
    accumulate<1, tokens>(scratch.weights[r], panel, a, a_stride, n, &scratch.sums[token][r], row_tile);
}

// One tile of rows for one tile of tokens.
void run_tile(const MatmulJob& job, Scratch& scratch, std::size_t row, std::size_t n_rows, std::size_t token,
              std::size_t n_tokens) {
  const Matrix& m = job.matrix;
  const std::size_t stride = activation_bytes(m.cols) / sizeof(float);
  const float* a = reinterpret_cast<const float*>(job.activations) + token * stride;
  std::memset(scratch.sums, 0, n_tokens * sizeof scratch.sums[0]);
  for (std::size_t k = 0; k < m.cols; k += panel) {
    const std::size_t n = std::min(panel, m.cols - k);
    const std::size_t padded = (n + n_lanes - 1) / n_lanes * n_lanes;
    for (std::size_t r = 0; r < n_rows; ++r) {
      m.format->decode(row_bytes_at(m, row + r, k), scratch.weights[r], n);
      std::fill(scratch.weights[r] + n, scratch.weights[r] + padded, 0.0f);
    }
    std::size_t t = 0;
    for (; t + 3 <= n_tokens; t += 3) add_panel<3>(scratch, n_rows, padded, a + t * stride + k, stride, t);
    for (; t < n_tokens; ++t) add_panel<1>(scratch, n_rows, padded, a + t * stride + k, stride, t);
  }
  for (std::size_t t = 0; t < n_tokens; ++t) {
    float* out = job.out + (token + t) * job.out_stride + row;
    for (std::size_t r = 0; r < n_rows; ++r) out[r] = total(scratch.sums[t][r]);
  }
}

void run(const MatmulJob& job) {
  Scratch& scratch = *reinterpret_cast<Scratch*>(job.scratch);
  for (std::size_t token = 0; token < job.n_tokens; token += token_tile) {
    const std::size_t n_tokens = std::min(token_tile, job.n_tokens - token);
    for (std::size_t row = job.row_begin; row < job.row_end; row += row_tile)
      run_tile(job, scratch, row, std::min(row_tile, job.row_end - row), token, n_tokens);
  }
}

std::size_t scratch_bytes(std::size_t) { return sizeof(Scratch); }

constexpr ActivationForm floats = {activation_bytes, convert};

}  // namespace

const MatmulKernel matmul_kernel = {.name = "portable",
                                    .row_tile = row_tile,
                                    .token_tile = token_tile,
                                    .packed_bytes = nullptr,
                                    .pack = nullptr,
                                    .decode_row = decode_row,
                                    .form = &floats,
                                    .scratch_bytes = scratch_bytes,
                                    .run = run};

}  // namespace nibble::inline v0::cpu::portable
