// A row in the registers of a block's threads: all that is loaded of it is on its way at once, and what is
// done to it between then and the store takes no further trip to memory. Below the kernels that go row by
// row, where few rows are bound by such trips.
#pragma once

#include "kernels/cuda/device.hpp"

namespace nibble::inline v0::cuda {

// `cols` columns of a row that may be wider; neighbouring threads have pieces of four columns side by side.
// So what threads make of rows of up to 1024 columns, in order, is the same bits in any block of 256 threads
// or more.
template <std::uint32_t threads_, std::uint32_t pieces_>
struct BlockRow {
  static constexpr std::uint32_t threads = threads_, pieces = pieces_, cols = 4 * threads * pieces;
  float x[pieces][4];

  // The first column of this thread's piece i.
  NIBBLE_DEVICE static std::uint32_t col(std::uint32_t i) { return 4 * (i * threads + device::thread()); }
  // Whether all of a row is held, as it was loaded or left, when a loop over its columns begins. Of a wider
  // one each turn of the loop loads its part.
  NIBBLE_DEVICE static constexpr bool holds(std::uint32_t width) { return width <= cols; }

  // Whether a row may be loaded and stored piece by piece; else it is float by float.
  NIBBLE_DEVICE static bool in_pieces(const float* row, std::uint32_t width) {
    return width % 4 == 0 && device::is_aligned16(row);
  }
  // The row's first columns; beyond `width` zeros.
  NIBBLE_DEVICE void load(const float* row, std::uint32_t width) { load(row, width, in_pieces(row, width)); }
  NIBBLE_DEVICE void load(const float* row, std::uint32_t width, bool by_pieces) {
    if (by_pieces) [[likely]] {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < pieces; ++i) {
        device::Words4 words{};
        if (col(i) < width) words = device::load_words4(row + col(i));
        x[i][0] = device::float_of(words.x), x[i][1] = device::float_of(words.y);
        x[i][2] = device::float_of(words.z), x[i][3] = device::float_of(words.w);
      }
    } else {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < pieces; ++i) {
        const std::uint32_t left = col(i) < width ? width - col(i) : 0;
        NIBBLE_UNROLL
        for (std::uint32_t n = 0; n < 4; ++n) x[i][n] = n < left ? row[col(i) + n] : 0.0f;
      }
    }
  }
  NIBBLE_DEVICE void store(float* row, std::uint32_t width) const {
    if (in_pieces(row, width)) [[likely]] {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < pieces; ++i) {
        if (col(i) < width)
          device::store_words4(row + col(i), {device::bits_of(x[i][0]), device::bits_of(x[i][1]),
                                              device::bits_of(x[i][2]), device::bits_of(x[i][3])});
      }
    } else {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < pieces; ++i) {
        const std::uint32_t left = col(i) < width ? width - col(i) : 0;
        NIBBLE_UNROLL
        for (std::uint32_t n = 0; n < 4; ++n)
          if (n < left) row[col(i) + n] = x[i][n];
      }
    }
  }

  NIBBLE_DEVICE void add(const BlockRow& other) {
    each_of(other, [](float& value, float of_other) { value = value + of_other; });
  }
  NIBBLE_DEVICE void multiply(const BlockRow& other) {
    each_of(other, [](float& value, float of_other) { value = value * of_other; });
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

  // What `combine` makes of every thread's value, the same bits in each: of a warp's lanes pair by pair, then
  // of the warps in order. Threads beyond a row of `width` have 0, which changes nothing. `shared`:
  // shared_bytes, which no thread is to touch before all are here.
  static constexpr std::uint32_t shared_bytes = threads / device::warp_size * sizeof(float);
  template <class Combine>
  NIBBLE_DEVICE static float over_block(float value, std::uint32_t width, std::byte* shared,
                                        const Combine& combine) {
    auto* of_warp = reinterpret_cast<float*>(shared);
    const std::uint32_t lane = device::thread() % device::warp_size;
    if (4 * (device::thread() - lane) < width) {
      for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2)
        value = combine(value, device::shuffle_xor(value, mask));
    }
    if (lane == 0) of_warp[device::thread() / device::warp_size] = value;
    device::sync_block();
    value = of_warp[0];
    NIBBLE_UNROLL
    for (std::uint32_t w = 1; w < threads / device::warp_size; ++w) value = combine(value, of_warp[w]);
    return value;
  }

 private:
  template <class Visit>
  NIBBLE_DEVICE void each_of(const BlockRow& other, const Visit& visit) {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < pieces; ++i) {
      NIBBLE_UNROLL
      for (std::uint32_t n = 0; n < 4; ++n) visit(x[i][n], other.x[i][n]);
    }
  }
};

}  // namespace nibble::inline v0::cuda
