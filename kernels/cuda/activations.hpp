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
//
// Where warpgroups multiply them (matmul_by_warpgroups.hpp), the same numbers in tiles instead, so that what
// a block wants next is one stretch of memory. Of all rows, up to a multiple of 8:
//
//   | halves, 64 bytes a row for each 32 columns | sums, 16 bytes a row for each 64 | inverses, a float a row
//   |
//
// halves   of 32 columns eight rows after the other, 512 bytes: four pieces of 8 columns, a row's 16 bytes
//          after the other's; what device::SharedOperand calls a piece
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

// Offsets of the order in tiles.
struct ActivationTiles {
  std::uint32_t cols, rows;  // multiples of 64 and 8

  constexpr std::size_t halves(std::uint32_t col) const { return std::size_t{col / 32} * 64 * rows; }
  constexpr std::size_t sums(std::uint32_t tile) const { return (std::size_t{2} * cols + 16 * tile) * rows; }
  constexpr std::size_t inverses() const { return (std::size_t{2} * cols + cols / 4) * rows; }
  constexpr std::size_t bytes() const { return inverses() + std::size_t{4} * rows; }
};

constexpr ActivationTiles activation_tiles(std::uint32_t cols, std::uint32_t n_rows) {
  return {activation_layout(cols).cols, (n_rows + 7) / 8 * 8};
}

// One block a row of inputs: (n_rows, parts, cols) floats, the rows taken from in + from[i] * in_stride.
struct ConvertActivations {
  static constexpr std::uint32_t threads = 256, shared_bytes = threads / device::warp_size * 4;
  const float* in;
  std::uint32_t in_stride;
  const std::uint32_t* from;  // or null: row i
  std::uint32_t parts, cols;
  std::byte* out;                // (n_rows * parts, activation_layout(cols).bytes()), or
  std::uint32_t n_in_tiles = 0;  // where it is not 0: activation_tiles(cols, n_in_tiles), of one part

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x() / parts, part = device::block_x() % parts;
    const float* row = in + std::size_t{from == nullptr ? i : from[i]} * in_stride + std::size_t{part} * cols;
    const ActivationLayout layout = activation_layout(cols);
    const std::uint32_t exponent = exponent_of_largest(row);
    const float scale = device::float_of((largest_exponent + 254 - exponent) << 23);
    // Whole warps go on together, since four lanes add up their sums.
    const std::uint32_t lane = device::thread() % device::warp_size;
    for (std::uint32_t piece = device::thread(); 8 * (piece - lane) < layout.cols; piece += threads) {
      convert(row, piece, scale, layout.cols);
    }
    if (device::thread() == 0)
      *reinterpret_cast<float*>(inverse_at()) = device::float_of((exponent - largest_exponent) << 23);
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

  // Where this block's row has its inverse, and the sums of 64 columns.
  NIBBLE_DEVICE std::byte* inverse_at() const {
    const std::uint32_t i = device::block_x();
    if (n_in_tiles != 0) return out + activation_tiles(cols, n_in_tiles).inverses() + std::size_t{4} * i;
    return out + std::size_t{i} * activation_layout(cols).bytes() + activation_layout(cols).inverse();
  }
  NIBBLE_DEVICE std::byte* sums_at(std::uint32_t tile) const {
    const std::uint32_t i = device::block_x();
    if (n_in_tiles != 0) return out + activation_tiles(cols, n_in_tiles).sums(tile) + std::size_t{16} * i;
    return out + std::size_t{i} * activation_layout(cols).bytes() + activation_layout(cols).sums() +
           16 * tile;
  }
  // Columns k + 8 n + 2 c and the next, n = 0 to 3.
  NIBBLE_DEVICE void store_halves(std::uint32_t k, std::uint32_t c, const std::uint32_t (&words)[4]) const {
    const std::uint32_t i = device::block_x();
    if (n_in_tiles == 0) {
      device::store_words4(out + std::size_t{i} * activation_layout(cols).bytes() + 2 * k + 16 * c,
                           {words[0], words[1], words[2], words[3]});
      return;
    }
    std::byte* tile = out + activation_tiles(cols, n_in_tiles).halves(k) + 512 * (i / 8) + 16 * (i % 8);
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 4; ++n)
      *reinterpret_cast<std::uint32_t*>(tile + 128 * n + 4 * c) = words[n];
  }

  // Sixteen bytes of halves, and with the three beside them the sums.
  NIBBLE_DEVICE void convert(const float* row, std::uint32_t piece, float scale,
                             std::uint32_t padded_cols) const {
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
    if (k >= padded_cols) return;
    store_halves(k, c, words);
    if (c >= 2) return;
    const std::uint32_t high = device::pack_halves(sums[0], sums[1]);
    const std::uint32_t low =
        device::pack_halves(sums[0] - device::half_to_float(static_cast<std::uint16_t>(high)),
                            sums[1] - device::half_to_float(static_cast<std::uint16_t>(high >> 16)));
    auto* of_tile = reinterpret_cast<std::uint32_t*>(sums_at(k / 64));
    of_tile[2 * c + k / 32 % 2] = c == 0 ? high : low;
  }
};

}  // namespace nibble::inline v0::cuda
