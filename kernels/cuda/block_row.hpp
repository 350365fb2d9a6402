// A row in the registers of a block's threads: all that is loaded of it is on its way at once, and what is
// done to it between then and the store takes no further trip to memory. Below the kernels that go row by
// row, where few rows are bound by such trips.
#pragma once

#include "kernels/cuda/device.hpp"

namespace nibble::inline v0::cuda {

// What `combine` makes of every thread's value, the same bits in each: of a warp's lanes pair by pair, then
// of the warps in order. `of_warp`: as many floats of shared memory as warps, which no thread is to touch
// before all are here.
template <std::uint32_t threads, class Combine>
NIBBLE_DEVICE float over_block(float value, float* of_warp, const Combine& combine) {
  for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2)
    value = combine(value, device::shuffle_xor(value, mask));
  if (device::thread() % device::warp_size == 0) of_warp[device::thread() / device::warp_size] = value;
  device::sync_block();
  value = of_warp[0];
  NIBBLE_UNROLL
  for (std::uint32_t w = 1; w < threads / device::warp_size; ++w) value = combine(value, of_warp[w]);
  return value;
}

// `cols` columns of a row that may be wider; neighbouring threads have pieces of four columns side by side.
template <std::uint32_t threads_, std::uint32_t pieces_>
struct BlockRow {
  static constexpr std::uint32_t threads = threads_, pieces = pieces_, cols = 4 * threads * pieces;
  float x[pieces][4];

  // The first column of this thread's piece i.
  NIBBLE_DEVICE static std::uint32_t col(std::uint32_t i) { return 4 * (i * threads + device::thread()); }
  // Whether all of a row is held, as it was loaded or left, when a loop over its columns begins. Of a wider
  // one each turn of the loop loads its part.
  NIBBLE_DEVICE static bool holds(std::uint32_t width) { return width <= cols; }

  // The row's first columns; beyond `width` zeros.
  NIBBLE_DEVICE void load(const float* row, std::uint32_t width) {
    const bool aligned = in_pieces(row, width);
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < pieces; ++i) {
      const float* from = row + col(i);
      const std::uint32_t left = col(i) < width ? width - col(i) : 0;
      device::Words4 words{};
      if (aligned && left != 0) words = device::load_words4(from);
      x[i][0] = device::float_of(words.x), x[i][1] = device::float_of(words.y);
      x[i][2] = device::float_of(words.z), x[i][3] = device::float_of(words.w);
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < 4; ++n)
        if (!aligned && n < left) x[i][n] = from[n];
    }
  }
  NIBBLE_DEVICE void store(float* row, std::uint32_t width) const {
    const bool aligned = in_pieces(row, width);
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < pieces; ++i) {
      float* to = row + col(i);
      const std::uint32_t left = col(i) < width ? width - col(i) : 0;
      if (aligned && left != 0)
        device::store_words4(to, {device::bits_of(x[i][0]), device::bits_of(x[i][1]),
                                  device::bits_of(x[i][2]), device::bits_of(x[i][3])});
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < 4; ++n)
        if (!aligned && n < left) to[n] = x[i][n];
    }
  }

  // visit(value), in increasing order of columns.
  template <class Visit>
  NIBBLE_DEVICE void each(const Visit& visit) {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < pieces; ++i) {
      NIBBLE_UNROLL
      for (float& value : x[i]) visit(value);
    }
  }

 private:
  NIBBLE_DEVICE static bool in_pieces(const float* row, std::uint32_t width) {
    return width % 4 == 0 && device::is_aligned16(row);
  }
};

}  // namespace nibble::inline v0::cuda
