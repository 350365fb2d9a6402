// Kernels over matrices of floats, packed 32 rows together as nibble/quant/packed.hpp draws it: a lane is a
// row. Behind rows32.cpp; matrices of codes are of the family of fragments.
#pragma once

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/row_kernels.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t rows32_rows = device::warp_size;

// Elements of a row in a word.
template <class F>
inline constexpr std::uint32_t in_word = sizeof(std::uint32_t) / sizeof(typename F::Block);

template <class F>
NIBBLE_DEVICE const std::byte* find_row_tile(const std::byte* matrix, std::uint32_t tile,
                                             std::uint32_t cols) {
  const std::uint32_t words = (cols + in_word<F> - 1) / in_word<F>;
  return matrix + std::size_t{tile} * words * rows32_rows * sizeof(std::uint32_t);
}

// Elements [first, first + 32) of the lane's row of a row tile, each as F::decode rounds it; `first` is a
// multiple of 32. Elements beyond `cols` are 0.
template <class F>
NIBBLE_DEVICE void decode_32(const std::byte* tile, std::uint32_t cols, std::uint32_t first,
                             std::uint32_t lane, float (&out)[32]) {
  const auto* words = reinterpret_cast<const std::uint32_t*>(tile) + first / in_word<F> * rows32_rows + lane;
  NIBBLE_UNROLL
  for (std::uint32_t i = 0; i < 32; i += in_word<F>) {
    const std::uint32_t word = first + i < cols ? words[i / in_word<F> * rows32_rows] : 0;
    if constexpr (in_word<F> == 1) {
      out[i] = device::float_of(word);
    } else if constexpr (F::name == F16::name) {
      out[i] = device::half_to_float(static_cast<std::uint16_t>(word));
      out[i + 1] = device::half_to_float(static_cast<std::uint16_t>(word >> 16));
    } else {
      out[i] = device::float_of(word << 16);
      out[i + 1] = device::float_of(word & 0xffff0000u);
    }
  }
}

// A thread decodes 32 columns. Blocks (n_rows, stretches of 32 * threads columns).
template <class F>
struct LookUpRows32 {
  static constexpr std::uint32_t threads = 64;
  LookUp work;

  NIBBLE_DEVICE void operator()() const {
    const DeviceMatrix& matrix = work.matrix;
    const std::uint32_t i = device::block_x();
    const std::uint32_t first = (device::block_y() * threads + device::thread()) * 32;
    if (first >= matrix.cols) return;
    const auto row = static_cast<std::uint32_t>(work.tokens[i]);
    const std::byte* tile = find_row_tile<F>(matrix.bytes, row / rows32_rows, matrix.cols);
    float values[32];
    decode_32<F>(tile, matrix.cols, first, row % rows32_rows, values);
    float* out = work.out + std::size_t{i} * work.out_stride + first;
    NIBBLE_UNROLL
    for (std::uint32_t e = 0; e < 32; ++e)
      if (first + e < matrix.cols) out[e] = values[e] * work.scale;
  }
};

// A block multiplies a row tile by up to `tokens` inputs: warp w takes columns [256 w, 256 w + 256), then
// 2048 further on, each output one chain of FMAs; the warps' sums are added in order. Of experts, one input a
// block. Blocks: row tiles, and of each all groups of inputs. Activations stay float.
template <class F>
struct MultiplyRows32 {
  static constexpr std::uint32_t threads = 256, tokens = 4, columns = 256;
  static constexpr std::uint32_t warps = threads / device::warp_size;
  static constexpr std::uint32_t shared_bytes =
      (warps * columns + threads) * tokens * sizeof(float);  // inputs (warps, columns, tokens), then sums
  Multiply work;
  std::uint32_t groups;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t group = device::block_x() % groups, tile = device::block_x() / groups;
    const std::uint32_t warp = device::thread() / device::warp_size;
    const float* in[tokens];
    const std::uint32_t n = inputs(group, in);
    float sum[tokens] = {};
    multiply(tile_bytes(group, tile), in, n, sum);
    float* sums = reinterpret_cast<float*>(device::shared()) + warps * columns * tokens;
    NIBBLE_UNROLL
    for (std::uint32_t t = 0; t < tokens; ++t)
      sums[(warp * tokens + t) * rows32_rows + device::thread() % rows32_rows] = sum[t];
    device::sync_block();
    const std::uint32_t t = device::thread() / rows32_rows;
    const std::uint32_t row = tile * rows32_rows + device::thread() % rows32_rows;
    if (t >= n || row >= work.matrix.rows) return;
    float total = sums[device::thread()];
    for (std::uint32_t w = 1; w < warps; ++w)
      total = total + sums[w * tokens * rows32_rows + device::thread()];
    work.store(work.n_used == 0 ? group * tokens + t : group, row, total);
  }

  // Where the group's inputs begin, and how many there are.
  NIBBLE_DEVICE std::uint32_t inputs(std::uint32_t group, const float* (&in)[tokens]) const {
    const std::uint32_t first = work.n_used == 0 ? group * tokens : group;
    const std::uint32_t left = work.n_used == 0 ? work.n_rows - first : 1, n = left < tokens ? left : tokens;
    NIBBLE_UNROLL
    for (std::uint32_t t = 0; t < tokens; ++t) in[t] = work.input(t < n ? first + t : first);
    return n;
  }
  NIBBLE_DEVICE const std::byte* tile_bytes(std::uint32_t group, std::uint32_t tile) const {
    const std::byte* bytes = work.matrix.bytes;
    if (work.n_used != 0) bytes += work.expert(group) * work.matrix.expert_bytes;
    return find_row_tile<F>(bytes, tile, work.matrix.cols);
  }

  NIBBLE_DEVICE void multiply(const std::byte* tile, const float* const (&in)[tokens], std::uint32_t n,
                              float (&sum)[tokens]) const {
    const std::uint32_t lane = device::thread() % device::warp_size, cols = work.matrix.cols;
    const std::uint32_t warp = device::thread() / device::warp_size;
    float* staged = reinterpret_cast<float*>(device::shared()) + warp * columns * tokens;
    for (std::uint32_t first = warp * columns; first < cols; first += warps * columns) {
      device::sync_warp();
      for (std::uint32_t k = lane; k < columns; k += device::warp_size) {
        NIBBLE_UNROLL
        for (std::uint32_t t = 0; t < tokens; ++t)
          staged[k * tokens + t] = t < n && first + k < cols ? in[t][first + k] : 0.0f;
      }
      device::sync_warp();
      for (std::uint32_t k = 0; k < columns && first + k < cols; k += 32) {
        float weight[32];
        decode_32<F>(tile, cols, first + k, lane, weight);
        NIBBLE_UNROLL
        for (std::uint32_t e = 0; e < 32; ++e) {
          const device::Words4 x = device::load_words4(staged + (k + e) * tokens);
          sum[0] = device::fma(weight[e], device::float_of(x.x), sum[0]);
          sum[1] = device::fma(weight[e], device::float_of(x.y), sum[1]);
          sum[2] = device::fma(weight[e], device::float_of(x.z), sum[2]);
          sum[3] = device::fma(weight[e], device::float_of(x.w), sum[3]);
        }
      }
    }
  }
};

using Rows32Kernels = KernelList<LookUpRows32<F32>, LookUpRows32<F16>, LookUpRows32<BF16>,
                                 MultiplyRows32<F32>, MultiplyRows32<F16>, MultiplyRows32<BF16>>;

}  // namespace nibble::inline v0::cuda
