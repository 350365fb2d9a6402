// Rows of floats as the tensor cores' other operand: halves with a power of two per row, and their sums.
// Between a matmul's input and the kernels of matmul.hpp.
//
// A row of `cols` columns, up to a multiple of 64 with zeros:
//
//   | halves, 2 bytes a column | sums, two floats for 32 columns | inverse, a float | 12 bytes |
//
// halves   x times the power of two that brings the row's largest magnitude to [2^14, 2^15), rounded: 32
//          columns take 64 bytes, of which 16 c + 2 j belong to column 16 (j / 4) + 8 (j / 2 % 2) + 2 c + j %
//          2: 16 bytes are b[0], b[1] of two operands of device::multiply_tile.
// sums     of those halves: of 32 columns, and of the first 16 of them
// inverse  what an output is to be multiplied with
#pragma once

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/fragments.hpp"

namespace nibble::inline v0::cuda {

struct ActivationLayout {
  std::uint32_t cols;  // a multiple of 64

  constexpr std::uint32_t sums() const { return 2 * cols; }
  constexpr std::uint32_t inverse() const { return 2 * cols + cols / 4; }
  constexpr std::uint32_t bytes() const { return inverse() + 16; }
};

constexpr ActivationLayout activation_layout(std::uint32_t cols) {
  return {(cols + tile_cols - 1) / tile_cols * tile_cols};
}

// One block a row of inputs: (n_rows, parts, cols) floats, the rows taken from in + from[i] * in_stride.
struct ConvertActivations {
  static constexpr std::uint32_t threads = 128;
  const float* in;
  std::uint32_t in_stride;
  const std::uint32_t* from;  // or null: row i
  std::uint32_t parts, cols;
  std::byte* out;  // (n_rows * parts, activation_layout(cols).bytes())

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x() / parts, part = device::block_x() % parts;
    const float* row = in + std::size_t{from == nullptr ? i : from[i]} * in_stride + std::size_t{part} * cols;
    const ActivationLayout layout = activation_layout(cols);
    std::byte* to = out + std::size_t{device::block_x()} * layout.bytes();
    const std::uint32_t exponent = exponent_of_largest(row);
    const float scale = device::float_of((268 - exponent) << 23);
    for (std::uint32_t k = 32 * device::thread(); k < layout.cols; k += 32 * threads) {
      convert(row, k, scale, to, layout);
    }
    if (device::thread() == 0) {
      *reinterpret_cast<float*>(to + layout.inverse()) = device::float_of((exponent - 14) << 23);
    }
  }

 private:
  // Such that 2^(141 - it) and its inverse are normal; of infinities and NaNs that of the largest float.
  NIBBLE_DEVICE std::uint32_t exponent_of_largest(const float* row) const {
    std::uint32_t largest = 15;
    for (std::uint32_t k = device::thread(); k < cols; k += threads) {
      const std::uint32_t exponent = device::bits_of(row[k]) >> 23 & 255u;
      if (exponent > largest && exponent < 255) largest = exponent;
    }
    for (std::uint32_t mask = 16; mask != 0; mask /= 2) {
      const std::uint32_t other = device::shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    auto* of_warp = reinterpret_cast<std::uint32_t*>(device::shared());
    of_warp[device::thread() / device::warp_size] = largest;
    device::sync_block();
    for (std::uint32_t w = 0; w < threads / device::warp_size; ++w)
      largest = of_warp[w] > largest ? of_warp[w] : largest;
    return largest;
  }

  NIBBLE_DEVICE void convert(const float* row, std::uint32_t k, float scale, std::byte* to,
                             const ActivationLayout& layout) const {
    auto* halves = reinterpret_cast<std::uint32_t*>(to + 2 * k);
    auto* sums = reinterpret_cast<float*>(to + layout.sums() + k / 4);
    float sum = 0;
    NIBBLE_UNROLL
    for (std::uint32_t operand = 0; operand < 2; ++operand) {
      NIBBLE_UNROLL
      for (std::uint32_t pair = 0; pair < 8; ++pair) {
        const std::uint32_t col = k + 16 * operand + 2 * pair;
        const float low = col < cols ? row[col] * scale : 0, high = col + 1 < cols ? row[col + 1] * scale : 0;
        const std::uint32_t word = device::pack_halves(low, high);
        halves[4 * (pair % 4) + 2 * operand + pair / 4] = word;
        sum = sum + device::half_to_float(static_cast<std::uint16_t>(word));
        sum = sum + device::half_to_float(static_cast<std::uint16_t>(word >> 16));
      }
      sums[1 - operand] = sum;
    }
  }
};

}  // namespace nibble::inline v0::cuda
