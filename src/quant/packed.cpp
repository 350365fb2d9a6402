// Packing and unpacking of row tiles, the same for every format: split() or join(), and words put in place.
// Between the file's bytes and the kernels' streams; packed.hpp draws the layout, pack_tile.cpp does it
// faster.
#include "nibble/quant/packed.hpp"

#include <algorithm>
#include <cstring>

#include "nibble/quant/bits.hpp"
#include "nibble/quant/formats.hpp"
#include "src/quant/pack_tile.hpp"

namespace nibble::inline v0 {
namespace {

constexpr std::size_t max_block_bytes = 512;  // of any format

// One row's share of the codes of 32 elements, at most 32 bytes, in whole words: low plane, then high plane.
using Words = std::uint8_t[plane_size];

template <int bits>
using RowPlane = Plane<plane_size, bits, 4 * bits>;

void join_words(int code_bits, const std::uint8_t* code, Words& words) noexcept {
  switch (code_bits) {
    case 2: return RowPlane<2>::join(code, words);
    case 3: return RowPlane<2>::join(code, words), RowPlane<1>::join(code, words + 8, 2);
    case 4: return RowPlane<4>::join(code, words);
    case 5: return RowPlane<4>::join(code, words), RowPlane<1>::join(code, words + 16, 4);
    case 6: return RowPlane<4>::join(code, words), RowPlane<2>::join(code, words + 16, 4);
    default: return RowPlane<8>::join(code, words);
  }
}

void split_words(int code_bits, const Words& words, std::uint8_t* code) noexcept {
  switch (code_bits) {
    case 2: return RowPlane<2>::split(words, code);
    case 3: return RowPlane<2>::split(words, code), RowPlane<1>::split(words + 8, code, 2);
    case 4: return RowPlane<4>::split(words, code);
    case 5: return RowPlane<4>::split(words, code), RowPlane<1>::split(words + 16, code, 4);
    case 6: return RowPlane<4>::split(words, code), RowPlane<2>::split(words + 16, code, 4);
    default: return RowPlane<8>::split(words, code);
  }
}

void pack_block(const CodeLayout& codes, const BlockParts& parts, const Place& at,
                std::byte* packed) noexcept {
  const std::size_t rows = at.layout.rows,
                    n_words = codes.code_bits;  // 32 elements take as many words as bits
  std::byte* vector = packed + at.codes();
  for (std::size_t i = 0; i < at.layout.block_size; i += plane_size) {
    Words words;
    join_words(codes.code_bits, parts.code + i, words);
    for (std::size_t v = 0; v < n_words; ++v, vector += 4 * rows) std::memcpy(vector, words + 4 * v, 4);
  }
  for (std::size_t g = 0; g * rows < at.layout.scales; ++g) {
    const int min = at.layout.mins == 0 ? parts.min[g] << codes.scale_bits : 0;
    packed[at.scales() + g * rows] = static_cast<std::byte>(parts.scale[g] | min);
  }
  for (std::size_t g = 0; g * rows < at.layout.mins; ++g) {
    packed[at.mins() + g * rows] = static_cast<std::byte>(parts.min[g]);
  }
  std::memcpy(packed + at.d(), &parts.d, at.layout.d / rows);
  std::memcpy(packed + at.m(), &parts.m, at.layout.m / rows);
}

void unpack_block(const CodeLayout& codes, const std::byte* packed, const Place& at,
                  BlockParts& parts) noexcept {
  parts = {};
  const std::size_t rows = at.layout.rows, n_words = codes.code_bits;
  const std::byte* vector = packed + at.codes();
  for (std::size_t i = 0; i < at.layout.block_size; i += plane_size) {
    Words words;
    for (std::size_t v = 0; v < n_words; ++v, vector += 4 * rows) std::memcpy(words + 4 * v, vector, 4);
    split_words(codes.code_bits, words, parts.code + i);
  }
  for (std::size_t g = 0; g * rows < at.layout.scales; ++g) {
    const auto scale = static_cast<unsigned>(packed[at.scales() + g * rows]);
    parts.scale[g] = static_cast<std::uint8_t>(scale & ((1u << codes.scale_bits) - 1));
    if (at.layout.mins == 0) parts.min[g] = static_cast<std::uint8_t>(scale >> codes.scale_bits);
  }
  for (std::size_t g = 0; g * rows < at.layout.mins; ++g) {
    parts.min[g] = static_cast<std::uint8_t>(packed[at.mins() + g * rows]);
  }
  std::memcpy(&parts.d, packed + at.d(), at.layout.d / rows);
  std::memcpy(&parts.m, packed + at.m(), at.layout.m / rows);
}

// Calls visit(place) for every block of `row`, in order.
template <class Visit>
void for_each_block(const PackedLayout& layout, std::size_t row, std::size_t cols, Visit visit) noexcept {
  const std::size_t n = packed_blocks(layout, cols);
  for (std::size_t first = 0; first < n; first += layout.tile_blocks) {
    const std::size_t blocks = std::min<std::size_t>(layout.tile_blocks, n - first);
    for (std::size_t block = 0; block < blocks; ++block) {
      visit(Place{layout, row, block, blocks, first * layout.block_bytes()});
    }
  }
}

// Calls visit(byte in the row, byte in the row tile, bytes) for every word of row 0 of floats.
template <class Visit>
void for_each_word(const Format& format, const PackedLayout& layout, std::size_t cols, Visit visit) noexcept {
  const std::size_t bytes = row_bytes(format, cols);
  for (std::size_t at = 0; at < bytes; at += 4) {
    visit(at, at * layout.rows, std::min<std::size_t>(4, bytes - at));
  }
}

void pack_row(const Format& format, const PackedLayout& layout, const std::byte* file_row, std::size_t row,
              std::size_t cols, std::byte* packed) noexcept {
  if (format.split == nullptr) {
    return for_each_word(format, layout, cols, [&](std::size_t at, std::size_t word, std::size_t n) {
      std::memcpy(packed + word + 4 * row, file_row + at, n);
    });
  }
  for_each_block(layout, row, cols, [&](const Place& place) {
    BlockParts parts;
    format.split(file_row, parts);
    pack_block(format.codes, parts, place, packed);
    file_row += format.block_bytes;
  });
}

void unpack_row(const Format& format, const PackedLayout& layout, const std::byte* packed, std::size_t row,
                std::size_t cols, std::byte* file_row) noexcept {
  if (format.join == nullptr) {
    return for_each_word(format, layout, cols, [&](std::size_t at, std::size_t word, std::size_t n) {
      std::memcpy(file_row + at, packed + word + 4 * row, n);
    });
  }
  for_each_block(layout, row, cols, [&](const Place& place) {
    BlockParts parts;
    unpack_block(format.codes, packed, place, parts);
    format.join(parts, file_row);
    file_row += format.block_bytes;
  });
}

}  // namespace

void pack_row_tile(const Format& format, const PackedLayout& layout, const std::byte* file_rows,
                   std::size_t n_rows, std::size_t cols, std::byte* packed) noexcept {
  const bool whole = n_rows == layout.rows;
  const std::size_t zero_from = whole ? cols / layout.block_size * layout.block_bytes() : 0;
  std::memset(packed + zero_from, 0, packed_row_tile_bytes(layout, cols) - zero_from);
  const PackTile pack_tile = whole && layout.rows % 4 == 0 ? find_pack_tile(format) : nullptr;
  if (pack_tile != nullptr) return pack_tile(layout, file_rows, cols, packed);
  for (std::size_t row = 0; row < n_rows; ++row) {
    pack_row(format, layout, file_rows + row * row_bytes(format, cols), row, cols, packed);
  }
}

void unpack_row_tile(const Format& format, const PackedLayout& layout, const std::byte* packed,
                     std::size_t n_rows, std::size_t cols, std::byte* file_rows) noexcept {
  for (std::size_t row = 0; row < n_rows; ++row) {
    unpack_row(format, layout, packed, row, cols, file_rows + row * row_bytes(format, cols));
  }
}

void decode_packed_row(const Format& format, const PackedLayout& layout, const std::byte* packed,
                       std::size_t row, std::size_t cols, float* out) noexcept {
  // One block, or one word of floats, at a time.
  std::byte bytes[max_block_bytes];
  if (format.join == nullptr) {
    return for_each_word(format, layout, cols, [&](std::size_t at, std::size_t word, std::size_t n) {
      std::memcpy(bytes, packed + word + 4 * row, n);
      format.decode(bytes, out + at / format.block_bytes, n / format.block_bytes);
    });
  }
  for_each_block(layout, row, cols, [&](const Place& place) {
    BlockParts parts;
    unpack_block(format.codes, packed, place, parts);
    format.join(parts, bytes);
    format.decode(bytes, out, format.block_size);
    out += format.block_size;
  });
}

}  // namespace nibble::inline v0
