// What a look-up and a matmul are asked to do: parameters of every family's kernels.
// Between table.hpp and the kernels of each family.
#pragma once

#include "kernels/cuda/device.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cuda {

NIBBLE_DEVICE float soft_capped(float x, float cap) { return cap == 0.0f ? x : cap * device::tanh(x / cap); }

// act(x) * y
NIBBLE_DEVICE float gated(Activation activation, float x, float y) {
  if (activation == Activation::silu) return x / (1.0f + device::exp(-x)) * y;
  if (activation == Activation::clamped_swish) {
    x = x > 7.0f ? 7.0f : x;
    y = y > 7.0f ? 7.0f : y < -7.0f ? -7.0f : y;
    return x / (1.0f + device::exp(-1.702f * x)) * (y + 1.0f);
  }
  const float slope = 0.797884560802865f;  // sqrt(2 / pi)
  return 0.5f * x * (1.0f + device::tanh(slope * (x + 0.044715f * x * x * x))) * y;
}

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
// Where it is gated, of a dense matmul: the matrix' first half of rows gates the second, out[i][r] is
// act(that of row r) * that of row rows / 2 + r; rows / 2 is a multiple of the family's row_tile.
//
// An output's bits depend on its own row of inputs alone: not on n_rows, nor on the rows beside it.
struct Multiply {
  DeviceMatrix matrix = {};
  const float* in = nullptr;
  std::uint32_t in_stride = 0;
  const std::uint32_t* from = nullptr;  // (n_rows), or null
  std::uint32_t n_rows = 0;
  float* out = nullptr;
  std::uint32_t out_stride = 0;
  const float* bias = nullptr;  // or null
  float scale = 1.0f, softcap = 0.0f;
  bool gated = false;  // of families that gate
  Activation activation = Activation::silu;
  std::uint32_t n_used = 0;  // 0: dense
  std::uint32_t n_experts = 0;
  const float* routed = nullptr;
  std::uint32_t routed_stride = 0;
  const std::uint32_t* routed_from = nullptr;
  bool own_inputs = false, weighted = false;
  std::byte* scratch = nullptr;  // scratch_bytes, 256-byte aligned
  // Of families that convert: `scratch` begins with the inputs as ConvertActivations leaves them; and is to
  // do so afterwards.
  bool converted = false, leaves_converted = false;
  // Whether a kernel that would wait for ever leaves outputs out, rather than end with an error.
  bool on_trial = false;

  // Of a dense matmul, `use` is a row of the output; of experts, use = i * n_used + j.
  NIBBLE_DEVICE const float* input(std::uint32_t use) const {
    const std::uint32_t i = n_used == 0 ? use : use / n_used;
    const float* row = in + std::size_t{from == nullptr ? i : from[i]} * in_stride;
    return own_inputs ? row + std::size_t{use % n_used} * matrix.cols : row;
  }
  NIBBLE_DEVICE const float* route(std::uint32_t use) const {
    const std::uint32_t i = use / n_used;
    return routed + std::size_t{routed_from == nullptr ? i : routed_from[i]} * routed_stride;
  }
  NIBBLE_DEVICE std::uint32_t expert(std::uint32_t use) const {
    return static_cast<std::uint32_t>(route(use)[use % n_used]);
  }
  // What follows a finished sum.
  NIBBLE_DEVICE void store(std::uint32_t use, std::uint32_t row, float sum) const {
    if (n_used == 0) {
      if (bias != nullptr) sum = sum + bias[row];
      out[std::size_t{use} * out_stride + row] = soft_capped(sum * scale, softcap);
      return;
    }
    if (bias != nullptr) sum = sum + bias[std::size_t{expert(use)} * matrix.rows + row];
    if (weighted) sum = sum * route(use)[n_used + use % n_used];
    out[std::size_t{use / n_used} * out_stride + use % n_used * matrix.rows + row] = sum;
  }
};

}  // namespace nibble::inline v0::cuda
