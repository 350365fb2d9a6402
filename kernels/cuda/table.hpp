// What a family of packed matrices provides to the backend: how it packs on the host, and how it looks up
// rows and multiplies on the device. Between backend.cpp and each family (rows32.cpp, fragments_family.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/runtime.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cuda {

struct MatrixFamily {
  const char* name;  // "rows32", "codes4"
  bool (*takes)(const Format& format, std::uint64_t rows, std::uint64_t cols);
  // A matrix is packed by row tiles, one after the other: row_tile rows in tile_bytes bytes.
  std::uint32_t row_tile;
  std::uint64_t (*tile_bytes)(const Format& format, std::uint64_t cols);
  // Packs one tile on the host: n_rows (1 to row_tile) rows of the file; what is missing becomes zero.
  void (*pack_tile)(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
                    std::byte* packed);
  // Device memory that a multiply wants beside its operands, where n_inputs rows of cols floats go in
  // (n_rows, times n_used where they are own_inputs), and experts are used n_uses times (n_rows times n_used,
  // or 0).
  std::uint64_t (*scratch_bytes)(std::uint64_t cols, std::uint64_t n_inputs, std::uint64_t n_uses);
  void (*look_up)(Runtime& runtime, const LookUp& work);
  void (*multiply)(Runtime& runtime, const Multiply& work);
  bool converts = false;  // multiply begins with ConvertActivations, unless work.converted
  // ConvertActivations::n_in_tiles for a multiply's inputs, dense ones or experts'; of families that convert.
  std::uint32_t (*n_in_tiles)(const Runtime& runtime, std::uint32_t n_rows, bool dense) = nullptr;
  bool gates = false;  // multiply takes work.gated
};

// The families, best first; together they take every format.
std::span<const MatrixFamily* const> matrix_families() noexcept;

}  // namespace nibble::inline v0::cuda
