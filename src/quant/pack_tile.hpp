// Where a block's parts lie in a packed tile, and packing of whole row tiles at the speed of memory.
// Used by packed.cpp.
#pragma once

#include "nibble/quant/packed.hpp"

namespace nibble::inline v0 {

inline constexpr std::size_t plane_size = 32;  // elements whose planes lie together

// One block of one row within its tile.
struct Place {
  const PackedLayout& layout;
  std::size_t row, block;  // in the tile
  std::size_t blocks;      // of the tile
  std::size_t begin;       // the tile's first byte

  std::size_t codes() const { return begin + block * layout.codes + 4 * row; }
  std::size_t scales() const { return begin + blocks * layout.codes + block * layout.scales + row; }
  std::size_t mins() const {
    return begin + blocks * (layout.codes + layout.scales) + block * layout.mins + row;
  }
  std::size_t d() const {
    const std::size_t before = layout.codes + layout.scales + layout.mins;
    return begin + blocks * before + block * layout.d + row * (layout.d / layout.rows);
  }
  std::size_t m() const {
    const std::size_t before = layout.block_bytes() - layout.m;
    return begin + blocks * before + block * layout.m + row * (layout.m / layout.rows);
  }
};

// Packs a row tile of which no row is missing and whose rows are a multiple of 4, but for the bytes up to a
// multiple of 64.
using PackTile = void (*)(const PackedLayout& layout, const std::byte* file_rows, std::size_t cols,
                          std::byte* packed) noexcept;

// Null where the format keeps its codes in no planes (`HasPlanes`).
PackTile find_pack_tile(const Format& format) noexcept;

}  // namespace nibble::inline v0
