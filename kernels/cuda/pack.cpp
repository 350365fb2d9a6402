// Packing: each block taken apart by its format, its parts put where the fragments have them.
// Between split() or join() of the formats and the device's memory; the same for every format.
#include "kernels/cuda/pack.hpp"

#include <algorithm>
#include <cstring>

namespace nibble::inline v0::cuda {
namespace {

// One block of one row of a row tile: where each of its parts lies.
class Place {
 public:
  Place(const Format& format, const FragmentLayout& layout, std::size_t row, std::size_t block)
      : format_(format),
        layout_(layout),
        pair_(row % 8),
        half_(row / 8),
        in_chunk_(block % layout.chunk_blocks),
        chunk_(block / layout.chunk_blocks * layout.chunk) {}

  // put(byte offset, first bit in it, bits, what is there): a number below 256 or a half, within a word.
  template <class Parts, class Put>
  void visit(Parts& parts, const Put& put) const {
    for (std::uint32_t i = 0; i < format_.block_size; ++i) visit_code(i, parts.code[i], put);
    if (layout_.has_scales) {
      for (std::uint32_t g = 0; g < format_.block_size / layout_.group; ++g) {
        const std::size_t at = scale_at(g);
        put(at, 0, layout_.mins_apart ? 8 : layout_.scale_bits, 0, parts.scale[g]);
        if (layout_.mins_apart) put(at + layout_.pair_scales / 2, 0, 8, 0, parts.min[g]);
        if (layout_.has_mins && !layout_.mins_apart) put(at, layout_.scale_bits, 4, 0, parts.min[g]);
      }
    }
    const std::size_t d_bytes = layout_.d_is_e8m0 ? 1 : 2, entry = 2 * in_chunk_ + half_;
    const std::size_t pair = chunk_ + layout_.chunk - 8 * layout_.pair_d + pair_ * layout_.pair_d;
    put(pair + entry * d_bytes, 0, 8 * d_bytes, 0, parts.d);
    if (layout_.has_m) put(pair + 2 * layout_.chunk_blocks * d_bytes + 2 * entry, 0, 16, 0, parts.m);
  }

 private:
  template <class Code, class Put>
  void visit_code(std::uint32_t element, Code& code, const Put& put) const {
    const std::size_t col = in_chunk_ * format_.block_size + element;
    const auto t = static_cast<std::uint32_t>(col % tile_cols / 16),
               lane = static_cast<std::uint32_t>(4 * pair_ + col % 8 / 2),
               i = static_cast<std::uint32_t>(half_ + col % 16 / 8 * 2);
    const std::size_t tile = chunk_ + col / tile_cols * layout_.tile_codes;
    const auto visit_plane = [&](std::size_t plane, std::uint32_t bits, std::uint32_t shift) {
      const Field field = field_of(bits, t, i);
      const std::size_t bit = field.bit + 16 * (col % 2);
      put(plane + word_at(bits, lane, field.word) + bit / 8, bit % 8, bits, shift, code);
    };
    visit_plane(tile, layout_.low_bits, 0);
    if (layout_.high_bits != 0) {
      visit_plane(tile + tile_rows * tile_cols / 8 * layout_.low_bits, layout_.high_bits, layout_.low_bits);
    }
  }

  std::size_t scale_at(std::uint32_t g) const {
    const std::uint32_t in_tile = tile_cols / layout_.group;
    const std::size_t group = in_chunk_ * (format_.block_size / layout_.group) + g;
    return chunk_ + layout_.chunk_tiles * layout_.tile_codes +
           (group / in_tile * 8 + pair_) * layout_.pair_scales + 2 * (group % in_tile) + half_;
  }

  const Format& format_;
  const FragmentLayout& layout_;
  std::size_t pair_, half_, in_chunk_, chunk_;
};

// A code of two's complement is packed with its sign bit turned, as an offset of 128.
void turn_signs(const Format& format, BlockParts& parts) {
  if (format.codes.code_bits != 8) return;
  for (std::uint32_t i = 0; i < format.block_size; ++i) parts.code[i] ^= 0x80;
}

}  // namespace

std::size_t fragment_bytes(const Format& format, std::size_t rows, std::size_t cols) noexcept {
  if (format.codes.group == 0) return 0;
  return (rows + tile_rows - 1) / tile_rows *
         row_tile_bytes(fragment_layout(format.codes, format.block_size), static_cast<std::uint32_t>(cols));
}

void pack_fragments(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
                    std::byte* packed) noexcept {
  const FragmentLayout layout = fragment_layout(format.codes, format.block_size);
  std::fill_n(packed, row_tile_bytes(layout, static_cast<std::uint32_t>(cols)), std::byte{0});
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t block = 0; block < cols / format.block_size; ++block, file_rows += format.block_bytes) {
      BlockParts parts;
      format.split(file_rows, parts);
      turn_signs(format, parts);
      Place(format, layout, row, block)
          .visit(parts,
                 [&](std::size_t at, std::size_t bit, std::size_t bits, std::size_t shift, auto number) {
                   const std::uint32_t part = number >> shift & ((1u << bits) - 1);
                   packed[at] |= static_cast<std::byte>(part << bit);
                   if (bits == 16) packed[at + 1] |= static_cast<std::byte>(part >> 8);
                 });
    }
  }
}

void unpack_fragments(const Format& format, const std::byte* packed, std::size_t n_rows, std::size_t cols,
                      std::byte* file_rows) noexcept {
  const FragmentLayout layout = fragment_layout(format.codes, format.block_size);
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t block = 0; block < cols / format.block_size; ++block, file_rows += format.block_bytes) {
      BlockParts parts{};
      Place(format, layout, row, block)
          .visit(parts,
                 [&](std::size_t at, std::size_t bit, std::size_t bits, std::size_t shift, auto& number) {
                   std::uint32_t word = std::to_integer<std::uint32_t>(packed[at]);
                   if (bits == 16) word |= std::to_integer<std::uint32_t>(packed[at + 1]) << 8;
                   number |= static_cast<std::remove_reference_t<decltype(number)>>(
                       (word >> bit & ((1u << bits) - 1)) << shift);
                 });
      turn_signs(format, parts);
      format.join(parts, file_rows);
    }
  }
}

}  // namespace nibble::inline v0::cuda
