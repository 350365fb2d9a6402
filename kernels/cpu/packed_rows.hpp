// What every kernel over packed rows does alike: size, packing and lookup of a matrix in tiles of `rows`
// rows. Between a tier's MatmulKernels and quant/packed.hpp; compiled into each tier with its own flags.
#pragma once

#include <cstddef>

#include "kernels/cpu/table.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cpu {
namespace {

template <std::size_t rows>
struct PackedRows {
  static std::size_t bytes(const Format& format, std::size_t n_rows, std::size_t cols) {
    return packed_bytes(packed_layout(format, rows), n_rows, cols);
  }

  static void pack(const PackJob& job) {
    const Matrix& m = job.matrix;
    const PackedLayout layout = packed_layout(*m.format, rows);
    const std::size_t file_row = m.cols / m.format->block_size * m.format->block_bytes;
    for (std::size_t row = job.row_begin; row < job.row_end; row += rows) {
      const std::size_t n = job.row_end - row < rows ? job.row_end - row : rows;
      pack_row_tile(*m.format, layout, m.bytes + row * file_row, n, m.cols,
                    job.packed + row / rows * packed_row_tile_bytes(layout, m.cols));
    }
  }

  static void decode_row(const Matrix& m, std::size_t row, float* out) {
    const PackedLayout layout = packed_layout(*m.format, rows);
    decode_packed_row(*m.format, layout, m.bytes + row / rows * packed_row_tile_bytes(layout, m.cols),
                      row % rows, m.cols, out);
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu
