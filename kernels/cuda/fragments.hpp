// Where the codes, scales and mins of a matrix lie on the device: in the order of the tensor cores' operands.
// Between pack.cpp, which writes it, and the kernels of matmul_tile.hpp, which read it for any batch size.
//
// A row tile is 16 rows. Along K it is a sequence of chunks of whole blocks, at least 64 columns; a chunk:
//
//   | tile 0: codes | tile 1: codes | ... | tile 0: scales and mins | ... | d, m of the chunk's blocks |
//
// codes   A tile is 64 columns: four operands of 16 x 16. Of each, lane l = 4 r + c holds eight codes, (i,
// h):
//
//           i = 0: row r     i = 1: row r + 8     column 2 c + h
//           i = 2: row r     i = 3: row r + 8     column 2 c + h + 8
//
//         Codes of 3, 5 and 6 bits are a plane of 2 or 4 low bits and one of the high bits. In a plane of b
//         bits, words have 16 / b fields of b bits in each half; the half is h, and the fields are those of
//         the operands in turn, i = 0, 1, 2, 3 of each, but 0, 2, 1, 3 where b is 8: four bits,
//
//           bits  0      4      8      12     16     20     24     28     32
//                 |0, 0  |1, 0  |2, 0  |3, 0  |0, 1  |1, 1  |2, 1  |3, 1  |     (i, h) of one operand
//
//         so that word & 0x0f0f0f0f are four codes of row r, and (word >> 4) & 0x0f0f0f0f of row r + 8. A
//         lane's words are together in up to 16 bytes, these by lane.
// scales  For each pair of rows r, r + 8: a byte for each group and of it for each row, in this order; where
//         scale and min take at most 8 bits together scale | min << b, else all mins after all scales.
// d, m    For each pair of rows: halves (d of E8M0 formats: bytes) for each block and of it for each row, all
//         m after all d.
//
// Q4_0: chunks of 64 columns, 512 bytes of codes and 64 of d. Nothing is lost; at most 3.7 % is added (Q3_K).
// Columns beyond the matrix, up to a multiple of 64, and rows up to one of 16 have codes and scales of zero
// bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nibble/quant/format.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t tile_rows = 16;
inline constexpr std::uint32_t tile_cols = 64;

// The sums over k of every output are cut into this many pieces, by the number of columns alone, and the
// pieces added in order: how many warps share the work changes no bit.
inline constexpr std::uint32_t k_slices = 8;

// Made from a format's CodeLayout; a kernel's template parameter. Sizes in bytes.
struct FragmentLayout {
  std::uint32_t group, low_bits, high_bits, zero;
  bool has_levels, d_is_e8m0, has_scales, scales_signed, mins_apart, has_mins, has_m;
  std::uint32_t scale_bits, scale_zero;
  std::uint32_t chunk_tiles, chunk_blocks;
  std::uint32_t tile_codes;   // of one tile
  std::uint32_t pair_scales;  // scales and mins of a pair of rows in one tile
  std::uint32_t pair_d;       // d and m of a pair of rows in one chunk
  std::uint32_t chunk;        // everything

  bool operator==(const FragmentLayout&) const = default;
};

// Told apart from codes.levels, whose address a constant expression may not look at under a sanitizer.
constexpr FragmentLayout fragment_layout(const CodeLayout& codes, bool has_levels,
                                         std::uint32_t block_size) noexcept {
  FragmentLayout layout{};
  layout.group = codes.group;
  layout.low_bits = codes.code_bits == 8 ? 8 : codes.code_bits >= 4 ? 4 : 2;
  layout.high_bits = codes.code_bits - layout.low_bits;
  layout.zero = codes.code_bits == 8 ? 128 : codes.zero;  // two's complement: the sign bit is turned
  layout.has_levels = has_levels;
  layout.d_is_e8m0 = codes.d_is_e8m0;
  layout.has_scales = codes.scale_bits != 0;
  layout.scales_signed = codes.scale_bits == 8;
  layout.has_mins = codes.min_bits != 0;
  layout.mins_apart = codes.scale_bits + codes.min_bits > 8;
  layout.has_m = codes.has_m;
  layout.scale_bits = codes.scale_bits;
  layout.scale_zero = codes.scale_zero;
  layout.chunk_tiles = block_size <= tile_cols ? 1 : block_size / tile_cols;
  layout.chunk_blocks = block_size < tile_cols ? tile_cols / block_size : 1;
  layout.tile_codes = tile_rows * tile_cols * codes.code_bits / 8;
  if (layout.has_scales) layout.pair_scales = 2 * (tile_cols / codes.group) * (layout.mins_apart ? 2 : 1);
  layout.pair_d = 2 * layout.chunk_blocks * ((codes.d_is_e8m0 ? 1 : 2) + (codes.has_m ? 2 : 0));
  layout.chunk = layout.chunk_tiles * (layout.tile_codes + 8 * layout.pair_scales) + 8 * layout.pair_d;
  return layout;
}

// Where a code lies: bit `bit` of word `word` of a lane's words of the plane.
struct Field {
  std::uint32_t word, bit;
};

// Of operand t (0 to 3) and register i of it, in a plane of b bits, h = 0.
constexpr Field field_of(std::uint32_t b, std::uint32_t t, std::uint32_t i) noexcept {
  const std::uint32_t order = 4 * t + (b == 8 ? i % 2 * 2 + i / 2 : i), per_word = 16 / b;
  return {order / per_word, order % per_word * b};
}

// Bytes from a plane's begin to word `word` of `lane`.
constexpr std::uint32_t word_at(std::uint32_t b, std::uint32_t lane, std::uint32_t word) noexcept {
  const std::uint32_t together = b < 4 ? b : 4;
  return 4 * (word / together * 32 * together + lane * together + word % together);
}

constexpr std::uint32_t n_chunks(const FragmentLayout& layout, std::uint32_t cols) noexcept {
  const std::uint32_t chunk_cols = layout.chunk_tiles * tile_cols;
  return (cols + chunk_cols - 1) / chunk_cols;
}

constexpr std::size_t row_tile_bytes(const FragmentLayout& layout, std::uint32_t cols) noexcept {
  return std::size_t{n_chunks(layout, cols)} * layout.chunk;
}

}  // namespace nibble::inline v0::cuda
