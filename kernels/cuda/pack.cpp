// Packing: each block taken apart by its format, its parts put where the fragments have them.
// Between split() or join() of the formats and the device's memory; the same for every format.
#include "kernels/cuda/pack.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

namespace nibble::inline v0::cuda {
namespace {

// One block of one row of a row tile: where each of its parts lies.
class Place {
 public:
  Place(const Format& format, const FragmentLayout& layout, std::uint32_t row, std::size_t block)
      : format_(format),
        layout_(layout),
        pair_(row % 8),
        half_(row / 8),
        in_chunk_(static_cast<std::uint32_t>(block % layout.chunk_blocks)),
        chunk_(block / layout.chunk_blocks * layout.chunk) {}

  // plane(byte offset, bits, shift, code): for each plane of each tile, bits [shift, shift + bits) of the
  // codes from `code` on; operands [first_operand(), last_operand()) of the tile are this block's.
  template <class Code, class Plane>
  void visit_codes(Code* code, const Plane& plane) const {
    const std::uint32_t first_col = in_chunk_ * format_.block_size;
    for (std::uint32_t col = 0; col < format_.block_size; col += tile_cols) {
      const std::size_t tile = chunk_ + (first_col + col) / tile_cols * layout_.tile_codes;
      plane(tile, layout_.low_bits, 0u, code + col);
      if (layout_.high_bits != 0) {
        plane(tile + tile_rows * tile_cols / 8 * layout_.low_bits, layout_.high_bits, layout_.low_bits,
              code + col);
      }
    }
  }
  std::uint32_t first_operand() const { return in_chunk_ * format_.block_size % tile_cols / 16; }
  std::uint32_t last_operand() const {
    return first_operand() + std::min(format_.block_size, tile_cols) / 16;
  }
  std::uint32_t pair() const { return pair_; }
  std::uint32_t half() const { return half_; }

  // put(byte offset, first bit in it, bits, what is there): scales, mins, d and m, each within two bytes.
  template <class Parts, class Put>
  void visit(Parts& parts, const Put& put) const {
    if (layout_.has_scales) {
      for (std::uint32_t g = 0; g < format_.block_size / layout_.group; ++g) {
        const std::size_t at = scale_at(g);
        put(at, 0, layout_.mins_apart ? 8 : layout_.scale_bits, parts.scale[g]);
        if (layout_.mins_apart) put(at + layout_.pair_scales / 2, 0, 8, parts.min[g]);
        if (layout_.has_mins && !layout_.mins_apart) put(at, layout_.scale_bits, 4, parts.min[g]);
      }
    }
    const std::size_t d_bytes = layout_.d_is_e8m0 ? 1 : 2, entry = 2 * in_chunk_ + half_;
    const std::size_t pair = chunk_ + layout_.chunk - 8 * layout_.pair_d + pair_ * layout_.pair_d;
    put(pair + entry * d_bytes, 0, 8 * d_bytes, parts.d);
    if (layout_.has_m) put(pair + 2 * layout_.chunk_blocks * d_bytes + 2 * entry, 0, 16, parts.m);
  }

 private:
  std::size_t scale_at(std::uint32_t g) const {
    const std::uint32_t in_tile = tile_cols / layout_.group;
    const std::size_t group = in_chunk_ * (format_.block_size / layout_.group) + g;
    return chunk_ + layout_.chunk_tiles * layout_.tile_codes +
           (group / in_tile * 8 + pair_) * layout_.pair_scales + 2 * (group % in_tile) + half_;
  }

  const Format& format_;
  const FragmentLayout& layout_;
  std::uint32_t pair_, half_, in_chunk_;
  std::size_t chunk_;
};

// A lane's word of a plane, and where in it the codes of columns 16 t + 8 i + 2 c and the next one are.
template <std::uint32_t bits, class Byte, class Visit>
void visit_words(const Place& place, Byte* plane, const Visit& visit) {
  for (std::uint32_t c = 0; c < 4; ++c) {
    std::uint32_t words[bits];
    for (std::uint32_t w = 0; w < bits; ++w)
      std::memcpy(words + w, plane + word_at(bits, 4 * place.pair() + c, w), sizeof *words);
    for (std::uint32_t t = place.first_operand(); t < place.last_operand(); ++t) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        const Field field = field_of(bits, t, place.half() + 2 * i);
        visit(words[field.word], field.bit, 16 * (t - place.first_operand()) + 8 * i + 2 * c);
      }
    }
    if constexpr (!std::is_const_v<Byte>) {
      for (std::uint32_t w = 0; w < bits; ++w)
        std::memcpy(plane + word_at(bits, 4 * place.pair() + c, w), words + w, sizeof *words);
    }
  }
}

template <std::uint32_t bits>
void put_codes(const Place& place, std::byte* plane, std::uint32_t shift, const std::uint8_t* code) {
  constexpr std::uint32_t mask = (1u << bits) - 1;
  visit_words<bits>(place, plane, [&](std::uint32_t& word, std::uint32_t bit, std::uint32_t col) {
    word |= ((code[col] >> shift & mask) | (code[col + 1] >> shift & mask) << 16) << bit;
  });
}

template <std::uint32_t bits>
void get_codes(const Place& place, const std::byte* plane, std::uint32_t shift, std::uint8_t* code) {
  constexpr std::uint32_t mask = (1u << bits) - 1;
  visit_words<bits>(place, plane, [&](std::uint32_t word, std::uint32_t bit, std::uint32_t col) {
    for (std::uint32_t h = 0; h < 2; ++h)
      code[col + h] = static_cast<std::uint8_t>(code[col + h] | (word >> (bit + 16 * h) & mask) << shift);
  });
}

// A code of two's complement is packed with its sign bit turned, as an offset of 128.
void turn_signs(const Format& format, BlockParts& parts) {
  if (format.codes.code_bits != 8) return;
  for (std::uint32_t i = 0; i < format.block_size; ++i) parts.code[i] ^= 0x80;
}

}  // namespace

std::size_t fragment_bytes(const Format& format, std::size_t rows, std::size_t cols) noexcept {
  if (format.codes.group == 0) return 0;
  return (rows + tile_rows - 1) / tile_rows *
         row_tile_bytes(fragment_layout(format.codes, format.codes.levels != nullptr, format.block_size),
                        static_cast<std::uint32_t>(cols));
}

void pack_fragments(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
                    std::byte* packed) noexcept {
  const FragmentLayout layout =
      fragment_layout(format.codes, format.codes.levels != nullptr, format.block_size);
  std::fill_n(packed, row_tile_bytes(layout, static_cast<std::uint32_t>(cols)), std::byte{0});
  for (std::uint32_t row = 0; row < n_rows; ++row) {
    for (std::size_t block = 0; block < cols / format.block_size; ++block, file_rows += format.block_bytes) {
      BlockParts parts;
      format.split(file_rows, parts);
      turn_signs(format, parts);
      const Place place(format, layout, row, block);
      place.visit_codes(parts.code, [&](std::size_t at, std::uint32_t bits, std::uint32_t shift, auto* code) {
        constexpr decltype(&put_codes<1>) put[] = {put_codes<1>, put_codes<2>, put_codes<4>, put_codes<8>};
        put[std::countr_zero(bits)](place, packed + at, shift, code);
      });
      place.visit(parts, [&](std::size_t at, std::size_t bit, std::size_t bits, auto number) {
        packed[at] |= static_cast<std::byte>(number << bit);
        if (bits == 16) packed[at + 1] |= static_cast<std::byte>(number >> 8);
      });
    }
  }
}

void unpack_fragments(const Format& format, const std::byte* packed, std::size_t n_rows, std::size_t cols,
                      std::byte* file_rows) noexcept {
  const FragmentLayout layout =
      fragment_layout(format.codes, format.codes.levels != nullptr, format.block_size);
  for (std::uint32_t row = 0; row < n_rows; ++row) {
    for (std::size_t block = 0; block < cols / format.block_size; ++block, file_rows += format.block_bytes) {
      BlockParts parts{};
      const Place place(format, layout, row, block);
      place.visit_codes(parts.code, [&](std::size_t at, std::uint32_t bits, std::uint32_t shift, auto* code) {
        constexpr decltype(&get_codes<1>) get[] = {get_codes<1>, get_codes<2>, get_codes<4>, get_codes<8>};
        get[std::countr_zero(bits)](place, packed + at, shift, code);
      });
      place.visit(parts, [&](std::size_t at, std::size_t bit, std::size_t bits, auto& number) {
        std::uint32_t word = std::to_integer<std::uint32_t>(packed[at]);
        if (bits == 16) word |= std::to_integer<std::uint32_t>(packed[at + 1]) << 8;
        number = static_cast<std::remove_reference_t<decltype(number)>>(word >> bit & ((1u << bits) - 1));
      });
      turn_signs(format, parts);
      format.join(parts, file_rows);
    }
  }
}

}  // namespace nibble::inline v0::cuda
