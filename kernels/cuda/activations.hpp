// Rows of floats as the tensor cores' other operand: halves with a power of two per row, and their sums.
// Between a matmul's input and the kernels of matmul.hpp.
//
// A row of `cols` columns, up to a multiple of 64 with zeros:
//
//   | halves, 2 bytes a column | sums, 16 bytes for 64 columns | inverse, a float | 12 bytes |
//
// halves   x times the power of two that brings the row's largest magnitude to [2^9, 2^10), rounded: 32
//          columns take 64 bytes, of which 16 c + 2 j belong to column 16 (j / 4) + 8 (j / 2 % 2) + 2 c + j %
//          2: 16 bytes are b[0], b[1] of two operands of device::multiply_tile.
// sums     of those halves, 16 columns each, as two halves that add up to them: four high parts, then four
//          low ones
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
  static constexpr std::uint32_t threads = 256, shared_bytes = threads / device::warp_size * 4;
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
    const float scale = device::float_of((largest_exponent + 254 - exponent) << 23);
    // Whole warps go on together, since four lanes add up their sums.
    const std::uint32_t lane = device::thread() % device::warp_size;
    for (std::uint32_t piece = device::thread(); 8 * (piece - lane) < layout.cols; piece += threads) {
      convert(row, piece, scale, to, layout);
    }
    if (device::thread() == 0) {
      *reinterpret_cast<float*>(to + layout.inverse()) =
          device::float_of((exponent - largest_exponent) << 23);
    }
  }

 private:
  // Sums of 16 columns, below 2^14, fit into halves.
  static constexpr std::uint32_t largest_exponent = 9;

  // Such that the power of two and its inverse are normal; of infinities and NaNs that of the largest float.
  NIBBLE_DEVICE std::uint32_t exponent_of_largest(const float* row) const {
    std::uint32_t largest = largest_exponent + 1;
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

  // Sixteen bytes of halves, and with the three beside them the sums.
  NIBBLE_DEVICE void convert(const float* row, std::uint32_t piece, float scale, std::byte* to,
                             const ActivationLayout& layout) const {
    const std::uint32_t k = piece / 4 * 32, c = piece % 4;
    std::uint32_t words[4];
    float sums[2] = {0, 0};  // of 16 columns each
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 4; ++n) {
      const std::uint32_t col = k + 8 * n + 2 * c;
      words[n] =
          device::pack_halves(col < cols ? row[col] * scale : 0, col + 1 < cols ? row[col + 1] * scale : 0);
      sums[n / 2] = sums[n / 2] + device::half_to_float(static_cast<std::uint16_t>(words[n]));
      sums[n / 2] = sums[n / 2] + device::half_to_float(static_cast<std::uint16_t>(words[n] >> 16));
    }
    NIBBLE_UNROLL
    for (float& sum : sums) {
      sum = sum + device::shuffle_xor(sum, 1);
      sum = sum + device::shuffle_xor(sum, 2);
    }
    if (k >= layout.cols) return;
    device::store_words4(to + 2 * k + 16 * c, {words[0], words[1], words[2], words[3]});
    if (c >= 2) return;
    const std::uint32_t high = device::pack_halves(sums[0], sums[1]);
    const std::uint32_t low =
        device::pack_halves(sums[0] - device::half_to_float(static_cast<std::uint16_t>(high)),
                            sums[1] - device::half_to_float(static_cast<std::uint16_t>(high >> 16)));
    auto* of_tile = reinterpret_cast<std::uint32_t*>(to + layout.sums() + 16 * (k / 64));
    of_tile[2 * c + k / 32 % 2] = c == 0 ? high : low;
  }
};

}  // namespace nibble::inline v0::cuda
