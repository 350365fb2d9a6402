// A format's MatmulKernel, made from matmul.hpp's template.
// Included by matmul_<family>.cpp, one for each packed family.
#pragma once

#include <type_traits>

#include "kernels/cpu/avx512/avx512.hpp"
#include "kernels/cpu/avx512/matmul.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

inline std::size_t matrix_bytes(const Format& format, std::size_t rows, std::size_t cols) {
  return packed_bytes(packed_layout(format, tile_rows), rows, cols);
}

inline void pack(const PackJob& job) {
  const Matrix& m = job.matrix;
  const PackedLayout layout = packed_layout(*m.format, tile_rows);
  const std::size_t tile_bytes = packed_row_tile_bytes(layout, m.cols),
                    file_row = row_bytes(*m.format, m.cols);
  for (std::size_t row = job.row_begin; row < job.row_end; row += tile_rows) {
    pack_row_tile(*m.format, layout, m.bytes + row * file_row, std::min(tile_rows, job.row_end - row), m.cols,
                  job.packed + row / tile_rows * tile_bytes);
  }
}

inline void decode_row(const Matrix& m, std::size_t row, float* out) {
  const PackedLayout layout = packed_layout(*m.format, tile_rows);
  decode_packed_row(*m.format, layout, m.bytes + row / tile_rows * packed_row_tile_bytes(layout, m.cols),
                    row % tile_rows, m.cols, out);
}

template <class F>
constexpr MatmulKernel kernel = {.name = name,
                                 .row_tile = tile_rows,
                                 .token_tile = token_tile,
                                 .packed_bytes = matrix_bytes,
                                 .pack = pack,
                                 .decode_row = decode_row,
                                 .form = &int8_rows,
                                 .scratch_bytes = scratch_bytes<F>,
                                 .run = run<F>};

// The kernel for a format among those of a family: all that formats.hpp lists, so that a new one needs no
// line here.
template <Family family, std::uint32_t number = 0>
const MatmulKernel* find_kernel(const Format& format) {
  if constexpr (number < 64) {
    using F = typename FormatAt<number>::type;
    if constexpr (!std::is_void_v<F>) {
      if constexpr (F::family == family) {
        if (format.dtype == Dtype{number}) return &kernel<F>;
      }
    }
    return find_kernel<family, number + 1>(format);
  }
  return nullptr;
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
