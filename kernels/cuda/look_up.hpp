// Rows of a packed matrix, decoded: what embed reads.
// Between fragments_family.cpp and the runtimes; the matmuls read the same bytes.
#pragma once

#include "kernels/cuda/matmul_tile.hpp"

namespace nibble::inline v0::cuda {

// One block a row: out[i] = scale * row tokens[i] of the matrix, each weight as its format's decode() has it.
template <FragmentLayout layout>
struct LookUpRows {
  static constexpr std::uint32_t threads = 128;
  const std::byte* weights;
  std::uint32_t cols;
  Levels levels;
  const std::int32_t* tokens;
  float* out;
  std::uint32_t out_stride;
  float scale;

  // Lanes of a warp decode the tile with the row's 16, and the four that hold the row store it.
  NIBBLE_DEVICE void operator()() const {
    const auto row = static_cast<std::uint32_t>(tokens[device::block_x()]), in_tile = row % tile_rows;
    const std::uint32_t lane = device::thread() % 32, half = in_tile / 8;
    const std::byte* row_tile = weights + row / tile_rows * row_tile_bytes(layout, cols);
    if (lane >= 4) return;
    for (std::uint32_t tile = device::thread() / 32; tile * tile_cols < cols; tile += threads / 32) {
      TileWords<layout> words;
      words.load(row_tile, tile, in_tile % 8 * 4 + lane);
      for (std::uint32_t t = 0; t < 4; ++t) {
        std::uint32_t a[4];
        words.operand(t, levels, a);
        const GroupScale group = words.group(16 * t / layout.group);
        for (std::uint32_t n = 0; n < 4; ++n) {
          const std::uint32_t col = tile * tile_cols + 16 * t + 8 * (n / 2) + 2 * lane + n % 2;
          const std::uint32_t pair = half == 0 ? (n / 2 == 0 ? a[0] : a[2]) : (n / 2 == 0 ? a[1] : a[3]);
          const float level = device::half_to_float(static_cast<std::uint16_t>(pair >> 16 * (n % 2)));
          float value = group.scale[half] * level;
          if constexpr (layout.has_m) value = value + group.min[half];
          if (col < cols) out[std::size_t{device::block_x()} * out_stride + col] = value * scale;
        }
      }
    }
  }
};

}  // namespace nibble::inline v0::cuda
