// What a family of packed matrices provides to the backend: how it packs on the host, and how it looks up
// rows and multiplies on the device. Between backend.cpp and each family (rows.cpp runs every format).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/runtime.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cuda {

// Matrices of one shape, packed, on the device: the only one of a dense matmul, or those of all experts, one
// after the other.
struct DeviceMatrix {
  const Format* format;
  std::uint32_t rows, cols;
  const std::byte* bytes;          // 256-byte aligned
  std::uint64_t expert_bytes = 0;  // from one expert's to the next, a multiple of 256
};

// out[i] (cols) = scale * row tokens[i] of the matrix, decoded exactly; tokens: (n_rows), on the device.
struct LookUp {
  DeviceMatrix matrix;
  const std::int32_t* tokens;
  std::uint32_t n_rows;
  float* out;
  std::uint32_t out_stride;
  float scale;
};

// out[i][r] = softcap(scale * (sum over k of matrix[r][k] * in[from(i)][k] + bias[r])), as Op::matmul says;
// from(i) = from == null ? i : from[i]. Pointers are to the device's memory, strides in floats.
//
// With n_used experts, columns [j * rows, (j + 1) * rows) of out[i] are those of expert e = routed[i'][j], of
// the input at column own_inputs ? j * cols : 0, with the bias of e at bias + e * rows, and times
// routed[i'][n_used + j] where weighted, i' = routed_from(i); scale is 1 and there is no softcap.
//
// An output's bits depend on its own row of inputs alone: not on n_rows, nor on the rows beside it.
struct Multiply {
  DeviceMatrix matrix;
  const float* in;
  std::uint32_t in_stride;
  const std::uint32_t* from;  // (n_rows), or null
  std::uint32_t n_rows;
  float* out;
  std::uint32_t out_stride;
  const float* bias;  // or null
  float scale, softcap;
  std::uint32_t n_used = 0;  // 0: dense
  std::uint32_t n_experts = 0;
  const float* routed = nullptr;
  std::uint32_t routed_stride = 0;
  const std::uint32_t* routed_from = nullptr;
  bool own_inputs = false, weighted = false;
  std::byte* scratch = nullptr;  // scratch_bytes, 256-byte aligned
};

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
};

// The families, best first; the last takes every format.
std::span<const MatrixFamily* const> matrix_families() noexcept;

}  // namespace nibble::inline v0::cuda
