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

#include "kernels/cuda/block_row.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/fragments.hpp"

namespace nibble::inline v0::cuda {

using device::Words2;

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

// Rows of inputs, (n_rows, parts, cols) floats, the rows taken from in + from[i] * in_stride. Blocks (rows);
// or (rows, pieces), where all read the whole row, and each converts its piece.
struct ConvertActivations {
  using Row = BlockRow<512, 8>;
  static constexpr std::uint32_t threads = Row::threads, shared_bytes = Row::shared_bytes;
  const float* in;
  std::uint32_t in_stride;
  const std::uint32_t* from;     // or null: row i
  std::uint32_t parts, cols;     // cols: a multiple of 4
  std::byte* out;                // (n_rows * parts, activation_layout(cols).bytes()), or
  std::uint32_t n_in_tiles = 0;  // where it is not 0: activation_tiles(cols, n_in_tiles), of one part
  bool by_pieces = false;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x() / parts, part = device::block_x() % parts;
    const float* row = in + std::size_t{from == nullptr ? i : from[i]} * in_stride + std::size_t{part} * cols;
    Row x;
    x.load(row, cols);
    convert(device::block_x(), x, row, device::shared());
  }

  // To row i of `out`, from `row`, which `x` holds, if it can. `shared`: Row::shared_bytes.
  template <bool with_sums = true, class Row>
  NIBBLE_DEVICE void convert(std::uint32_t i, Row& x, const float* row, std::byte* shared) const {
    float largest = 0.0f;
    for (std::uint32_t first = 0; first < cols; first += Row::cols) {
      if (!Row::holds(cols)) x.load(row + first, cols - first);
      x.each([&](float value) { largest = device::max(largest, finite_magnitude(value)); });
    }
    largest = Row::over_block(largest, cols, shared, [](float a, float b) { return device::max(a, b); });
    const std::uint32_t exponent = exponent_of(largest), padded_cols = activation_layout(cols).cols;
    const float scale = device::float_of((largest_exponent + 254 - exponent) << 23);
    for (std::uint32_t first = 0; first < cols; first += Row::cols) {
      if (!Row::holds(cols)) x.load(row + first, cols - first);
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < Row::pieces; ++n) {
        // Whole warps go on together, since lanes add up their sums.
        const std::uint32_t col = first + Row::col(n), of_warp = col - col % (4 * device::warp_size);
        if (of_warp < padded_cols && (!by_pieces || n == device::block_y()))
          convert_piece<with_sums>(i, col, x.x[n], scale, padded_cols);
      }
    }
    if (device::thread() == 0 && device::block_y() == 0)
      *reinterpret_cast<float*>(inverse_at(i)) = device::float_of((exponent - largest_exponent) << 23);
  }

 private:
  // Sums of 16 columns, below 2^14, fit into halves.
  static constexpr std::uint32_t largest_exponent = 9;

  // Of infinities NaN, as of NaNs: a maximum leaves them out.
  NIBBLE_DEVICE static float finite_magnitude(float x) { return device::abs(device::fma(x, 0.0f, x)); }
  // Such that the power of two and its inverse are normal.
  NIBBLE_DEVICE static std::uint32_t exponent_of(float largest) {
    const std::uint32_t exponent = device::bits_of(largest) >> 23;
    return exponent > largest_exponent ? exponent : largest_exponent + 1;
  }

  // Where row i has its inverse, and the sums of 64 columns.
  NIBBLE_DEVICE std::byte* inverse_at(std::uint32_t i) const {
    if (n_in_tiles != 0) return out + activation_tiles(cols, n_in_tiles).inverses() + std::size_t{4} * i;
    return out + std::size_t{i} * activation_layout(cols).bytes() + activation_layout(cols).inverse();
  }
  NIBBLE_DEVICE std::byte* sums_at(std::uint32_t i, std::uint32_t tile) const {
    if (n_in_tiles != 0) return out + activation_tiles(cols, n_in_tiles).sums(tile) + std::size_t{16} * i;
    return out + std::size_t{i} * activation_layout(cols).bytes() + activation_layout(cols).sums() +
           16 * tile;
  }

  // Eight bytes of halves, and with the seven lanes beside this one the sums: 32 columns, of which lane j has
  // column pairs 2 j and 2 j + 1, eight columns to two lanes.
  template <bool with_sums>
  NIBBLE_DEVICE void convert_piece(std::uint32_t i, std::uint32_t col, const float (&x)[4], float scale,
                                   std::uint32_t padded_cols) const {
    const std::uint32_t j = col / 4 % 8, k = col - 4 * j;
    const auto scaled = [&](float value) { return col < cols ? value * scale : 0.0f; };
    const Words2 mine = {device::pack_halves(scaled(x[0]), scaled(x[1])),
                         device::pack_halves(scaled(x[2]), scaled(x[3]))};
    // In operands pairs that are eight columns apart lie side by side: lane j ^ 2 has the other of each.
    const bool upper = j / 2 % 2 != 0;
    const std::uint32_t other = device::shuffle_xor(upper ? mine.x : mine.y, 2);
    const Words2 pairs = {upper ? other : mine.x, upper ? mine.y : other};
    if (col < padded_cols) {
      if (n_in_tiles == 0)
        device::store_words2(out + std::size_t{i} * activation_layout(cols).bytes() + 2 * k +
                                 16 * (2 * (j % 2) + upper) + 8 * (j / 4),
                             pairs);
      else
        device::store_words2(out + activation_tiles(cols, n_in_tiles).halves(k) + 512 * (i / 8) +
                                 16 * (i % 8) + 128 * (j / 2) + 8 * (j % 2),
                             mine);
    }
    if constexpr (with_sums) store_sums(i, col, pairs, padded_cols);
  }

  NIBBLE_DEVICE void store_sums(std::uint32_t i, std::uint32_t col, const Words2& pairs,
                                std::uint32_t padded_cols) const {
    const std::uint32_t j = col / 4 % 8, k = col - 4 * j;
    float sum = 0.0f;  // of 16 columns
    sum = sum + device::low_half(pairs.x) + device::high_half(pairs.x);
    sum = sum + device::low_half(pairs.y) + device::high_half(pairs.y);
    sum = sum + device::shuffle_xor(sum, 2);
    sum = sum + device::shuffle_xor(sum, 1);
    const float next = device::shuffle_xor(sum, 4);
    if (col >= padded_cols || j >= 2) return;
    const std::uint32_t high = device::pack_halves(sum, next);
    const std::uint32_t low =
        device::pack_halves(sum - device::low_half(high), next - device::high_half(high));
    auto* of_tile = reinterpret_cast<std::uint32_t*>(sums_at(i, k / 64));
    of_tile[2 * j + k / 32 % 2] = j == 0 ? high : low;
  }
};

}  // namespace nibble::inline v0::cuda
