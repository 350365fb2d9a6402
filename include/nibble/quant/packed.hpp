// The packed families: the blocks of R rows interleaved, so that one vector lane is one row, losslessly.
// Between the file's bytes and the tiers' kernels, which read them as one stream along K.
//
// A row tile is R rows (1, 4, 8, 16 or 32). Along K it is a sequence of tiles, each as few blocks as fill
// whole cache lines; the last may hold fewer. One tile of n blocks, sections in this order:
//
//   | codes, n blocks | scales, n blocks | mins, n blocks | d, n blocks | m, n blocks |
//
// codes   Per 32 elements one or two planes, of 8, 4 or 2 bits, then, for codes of 3, 5 and 6 bits, of the 1
//         or 2 high bits. A plane of b bits is b vectors of R words; word r of a vector belongs to row r:
//
//           bytes   0                             4                             ...  4 R
//           vector v| row 0: byte 0, 1, 2, 3      | row 1: byte 0, 1, 2, 3      | ... |
//
//         Field f of byte c, lowest first, is of element 4 (v + b f) + c: four consecutive elements lie in
//         four consecutive bytes, and 4-bit vectors pair the elements 4 v and 16 + 4 v. (Plane<32, b, 4 b> by
//         row.)
// scales  Per group R bytes, one a row; where scale and min take at most 8 bits together, scale | min << b.
// mins    Per group R bytes, unless there are none or they are with the scales.
// d, m    R halves (d of E8M0 formats: R bytes).
//
// Q4_0 with 16 rows: tiles of two blocks, 512 bytes of codes and 64 of d. Rows of floats are words of 4 bytes
// (one F32, two F16 or BF16), interleaved by themselves. Nothing is lost; at most 3.7 % is added (Q3_K).
#pragma once

#include <cstddef>
#include <cstdint>

#include "nibble/core/export.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0 {

// Where things lie in a row tile; sizes in bytes, for one block of all its rows.
struct PackedLayout {
  std::uint32_t rows;         // R
  std::uint32_t block_size;   // elements of a row in one block; of floats: in one word
  std::uint32_t tile_blocks;  // blocks of every tile but the last
  std::uint32_t codes, scales, mins, d, m;

  [[gnu::always_inline]] constexpr std::uint32_t block_bytes() const noexcept {
    return codes + scales + mins + d + m;
  }
};

// Inlined always, here and below: tiers' files call them.
[[gnu::always_inline]] constexpr PackedLayout packed_layout(const Format& format,
                                                            std::uint32_t rows) noexcept {
  const CodeLayout& codes = format.codes;
  if (codes.group == 0) return {rows, 4 / format.block_bytes, 1, 4 * rows, 0, 0, 0, 0};
  const std::uint32_t groups = format.block_size / codes.group;
  PackedLayout layout{};
  layout.rows = rows;
  layout.block_size = format.block_size;
  layout.codes = rows * format.block_size * codes.code_bits / 8;
  layout.scales = codes.scale_bits != 0 ? rows * groups : 0;
  layout.mins = codes.scale_bits + codes.min_bits > 8 ? rows * groups : 0;
  layout.d = codes.d_is_e8m0 ? rows : 2 * rows;
  layout.m = codes.has_m ? 2 * rows : 0;
  layout.tile_blocks = 1;
  while (rows > 1 && layout.tile_blocks * layout.block_bytes() % 64 != 0) ++layout.tile_blocks;
  return layout;
}

// Blocks of one row tile of `cols` elements; `cols` is a multiple of the format's block size.
[[gnu::always_inline]] constexpr std::size_t packed_blocks(const PackedLayout& layout,
                                                           std::size_t cols) noexcept {
  return (cols + layout.block_size - 1) / layout.block_size;
}

// Bytes of one row tile, a multiple of 64: where the next begins.
[[gnu::always_inline]] constexpr std::size_t packed_row_tile_bytes(const PackedLayout& layout,
                                                                   std::size_t cols) noexcept {
  return (packed_blocks(layout, cols) * layout.block_bytes() + 63) / 64 * 64;
}

// Bytes of a matrix.
[[gnu::always_inline]] constexpr std::size_t packed_bytes(const PackedLayout& layout, std::size_t rows,
                                                          std::size_t cols) noexcept {
  return (rows + layout.rows - 1) / layout.rows * packed_row_tile_bytes(layout, cols);
}

// Packs one row tile: n_rows (1 to layout.rows) consecutive rows of `cols` elements as they lie in the file.
// Rows that are missing, and the bytes up to a multiple of 64, become zero. `layout` is of `format`.
NIBBLE_API void pack_row_tile(const Format& format, const PackedLayout& layout, const std::byte* file_rows,
                              std::size_t n_rows, std::size_t cols, std::byte* packed) noexcept;

// The reverse, bit for bit.
NIBBLE_API void unpack_row_tile(const Format& format, const PackedLayout& layout, const std::byte* packed,
                                std::size_t n_rows, std::size_t cols, std::byte* file_rows) noexcept;

// One row of a row tile (0 to layout.rows - 1), decoded as the format's decode() does it: (cols) floats.
NIBBLE_API void decode_packed_row(const Format& format, const PackedLayout& layout, const std::byte* packed,
                                  std::size_t row, std::size_t cols, float* out) noexcept;

}  // namespace nibble::inline v0
