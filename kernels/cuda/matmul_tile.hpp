// One tile of a packed matrix in a lane's registers: loading it, its operands for the tensor cores, scales.
// Between fragments.hpp and the kernels of matmul.hpp, which differ in who shares what.
#pragma once

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/fragments.hpp"

namespace nibble::inline v0::cuda {

using device::Words4;

// Of formats whose codes stand for entries of a table: the 16 entries as bytes, 128 added to each.
using Levels = Words4;

template <std::uint32_t n>
NIBBLE_DEVICE void load_once(std::uint32_t (&words)[n], const std::byte* from) {
  if constexpr (n == 1) {
    words[0] = device::load_word_once(from);
  } else if constexpr (n == 2) {
    const device::Words2 w = device::load_words2_once(from);
    words[0] = w.x, words[1] = w.y;
  } else {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < n; i += 4) {
      const Words4 w = device::load_words4_once(from + 32 * 4 * i);
      words[i] = w.x, words[i + 1] = w.y, words[i + 2] = w.z, words[i + 3] = w.w;
    }
  }
}

// 2^(e - 128), as nibble/quant/half.hpp has it.
NIBBLE_DEVICE float e8m0_half(std::uint32_t e) {
  return device::float_of(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

// What a group's codes are multiplied with, and what is added, for rows r and r + 8.
struct GroupScale {
  float scale[2], min[2];
};

template <FragmentLayout layout>
struct TileWords {
  static constexpr std::uint32_t low_mask = ((1u << layout.low_bits) - 1) * 0x00010001u;
  static constexpr std::uint32_t high_mask =
      (((1u << layout.high_bits) - 1) << layout.low_bits) * 0x00010001u;

  std::uint32_t low[layout.low_bits];
  std::uint32_t high[layout.high_bits == 0 ? 1 : layout.high_bits];
  std::uint32_t scales[layout.has_scales ? layout.pair_scales / 4 : 1];
  std::uint32_t d[layout.pair_d / 4];

  // Tile `tile` of the row tile that begins at `row_tile`, of this lane.
  NIBBLE_DEVICE void load(const std::byte* row_tile, std::uint32_t tile, std::uint32_t lane) {
    // A product of 32 bits: a row tile has less than 4 GiB.
    const std::byte* chunk = row_tile + tile / layout.chunk_tiles * layout.chunk;
    const std::uint32_t in_chunk = tile % layout.chunk_tiles, pair = lane / 4;
    const std::byte* codes = chunk + in_chunk * layout.tile_codes;
    load_once(low, codes + word_at_lane(layout.low_bits) * lane);
    if constexpr (layout.high_bits != 0) {
      load_once(high,
                codes + tile_rows * tile_cols / 8 * layout.low_bits + word_at_lane(layout.high_bits) * lane);
    }
    if constexpr (layout.has_scales) {
      load_once(scales,
                chunk + layout.chunk_tiles * layout.tile_codes + (8 * in_chunk + pair) * layout.pair_scales);
    }
    load_once(d, chunk + (layout.chunk - 8 * layout.pair_d) + pair * layout.pair_d);
  }

  // Levels of operand t (0 to 3), exactly, as halves in the order of device::multiply_tile's `a`.
  NIBBLE_DEVICE void operand(std::uint32_t t, const Levels& levels, std::uint32_t (&a)[4]) const {
    if constexpr (layout.has_levels) {
      look_up(low[t], levels, a);
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 4; ++i) a[i] = level(a[i], 0, 128);
    } else {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 4; ++i)
        a[i] = level(code(t, i), field_of(layout.low_bits, t, i).bit % 8, layout.zero);
    }
  }

  // Of group g of this tile.
  NIBBLE_DEVICE GroupScale group(std::uint32_t g) const {
    const std::uint32_t block = g * layout.group * layout.chunk_blocks / tile_cols;
    GroupScale of{};
    NIBBLE_UNROLL
    for (std::uint32_t half = 0; half < 2; ++half) {
      float scale =
          layout.d_is_e8m0 ? e8m0_half(d[0] >> 8 * (2 * block + half) & 255u) : half_at(block, half);
      float min = layout.has_m ? half_at(block + layout.chunk_blocks, half) : 0;
      if constexpr (layout.has_scales) {
        const std::uint32_t at = 2 * g + half, word = scales[at / 4] >> 8 * (at % 4) & 255u;
        if constexpr (layout.scales_signed) {
          scale = scale * static_cast<float>(static_cast<std::int8_t>(word));
        } else {
          const std::uint32_t bits = layout.mins_apart ? 255u : (1u << layout.scale_bits) - 1;
          scale =
              scale * static_cast<float>(static_cast<int>(word & bits) - static_cast<int>(layout.scale_zero));
        }
        if constexpr (layout.has_mins) {
          const std::uint32_t n = layout.mins_apart
                                      ? scales[layout.pair_scales / 8 + at / 4] >> 8 * (at % 4) & 255u
                                      : word >> layout.scale_bits;
          min = -(min * static_cast<float>(n));
        }
      }
      of.scale[half] = scale;
      of.min[half] = min;
    }
    return of;
  }

  // Operands of mins: with scales one for each m, which min_factor() has; else one of the m themselves.
  static constexpr std::uint32_t min_operands = layout.has_mins ? layout.chunk_blocks : 1;

  // Mins of the tile's groups beside their inputs' sums (activations.hpp): each 16 columns' twice.
  NIBBLE_DEVICE void mins(std::uint32_t n, std::uint32_t lane, std::uint32_t (&a)[2]) const {
    const bool odd = lane % 2 != 0;
    if constexpr (!layout.has_mins) {
      const std::uint32_t both = odd ? d[layout.chunk_blocks + 1] : d[layout.chunk_blocks];
      a[0] = device::choose_bytes(both, both, 0x1010);
      a[1] = device::choose_bytes(both, both, 0x3232);
    } else {
      constexpr std::uint32_t first = layout.mins_apart ? layout.pair_scales / 8 : 0;
      std::uint32_t four = scales[first], selector = odd ? 0x5252 : 0x5050;
      if constexpr (layout.group == 16) four = odd ? scales[first + 1] : four, selector = 0x5250;
      if constexpr (!layout.mins_apart) four = four >> layout.scale_bits & 0x0f0f0f0fu;
      a[0] = level(device::choose_bytes(four, magic, selector), 0, 0);
      a[1] = level(device::choose_bytes(four, magic, selector + 0x0101), 0, 0);
      if (min_operands == 2 && odd != (n == 1)) a[0] = a[1] = 0;
    }
  }
  NIBBLE_DEVICE float min_factor(std::uint32_t n, std::uint32_t half) const {
    return layout.has_mins ? -half_at(layout.chunk_blocks + n, half) : 1;
  }

 private:
  // Bytes from lane to lane of a plane's words.
  static constexpr std::uint32_t word_at_lane(std::uint32_t bits) { return 4 * (bits < 4 ? bits : 4); }

  NIBBLE_DEVICE float half_at(std::uint32_t word, std::uint32_t half) const {
    return device::half_to_float(static_cast<std::uint16_t>(d[word] >> 16 * half));
  }

  // The two codes of register i of operand t, in the halves of `magic` from bit field_of(...).bit % 8 on: not
  // moved down farther than to fit into a half's ten bits.
  NIBBLE_DEVICE std::uint32_t code(std::uint32_t t, std::uint32_t i) const {
    const Field field = field_of(layout.low_bits, t, i);
    const std::uint32_t bit = field.bit % 8;
    std::uint32_t word = device::and_or(low[field.word] >> (field.bit - bit), low_mask << bit, magic);
    if constexpr (layout.high_bits != 0) {
      const Field at = field_of(layout.high_bits, t, i);
      const std::uint32_t plane = high[at.word], to = layout.low_bits + bit;
      word = device::and_or(at.bit >= to ? plane >> (at.bit - to) : plane << (to - at.bit), high_mask << bit,
                            word);
    }
    return word;
  }

  // Halves whose bits are 0x6400 + m are 1024 + m.
  static constexpr std::uint32_t magic = 0x64006400u;

  // n - zero, from n 2^bit in each half of the word, which is in `magic`.
  NIBBLE_DEVICE static std::uint32_t level(std::uint32_t word, std::uint32_t bit, std::uint32_t zero) {
    const std::uint32_t offset = (0x8000u | (25 - bit) << 10 | zero << bit) * 0x00010001u;
    return bit == 0 ? device::add_halves(word, offset)
                    : device::fma_halves(word, ((15 - bit) << 10) * 0x00010001u, offset);
  }

  // Entries of the table for eight codes of 4 bits, two in each word's halves, in `magic`.
  NIBBLE_DEVICE static void look_up(std::uint32_t codes, const Levels& levels, std::uint32_t (&a)[4]) {
    std::uint32_t entries[2];
    NIBBLE_UNROLL
    for (std::uint32_t h = 0; h < 2; ++h) {
      const std::uint32_t four = codes >> 16 * h;
      entries[h] = device::choose_bytes(device::choose_bytes(levels.x, levels.y, four),
                                        device::choose_bytes(levels.z, levels.w, four),
                                        0x3210u | (four >> 1 & 0x4444u));
    }
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i)
      a[i] =
          device::and_or(device::choose_bytes(entries[0], entries[1], i | (4 + i) << 8), 0x00ff00ffu, magic);
  }
};

// Half a tile, 32 columns: step 0 or 1. acc[r][j] += scale * (levels . halves), group by group in increasing
// k; load(j) gives this lane's operands of token tile j, of which there are n, one at least.
template <FragmentLayout layout, std::uint32_t row_tiles, std::uint32_t token_tiles, class Load>
NIBBLE_DEVICE void multiply_half_tile(const TileWords<layout> (&words)[row_tiles], std::uint32_t step,
                                      const Levels& levels, std::uint32_t n, const Load& load,
                                      float (&acc)[row_tiles][token_tiles][4]) {
  constexpr std::uint32_t operands = layout.group / 16, groups = 2 / operands;  // of one group: 1 or 2
  std::uint32_t a[row_tiles][2][4];
  GroupScale group[row_tiles][groups];
  NIBBLE_UNROLL
  for (std::uint32_t r = 0; r < row_tiles; ++r) {
    words[r].operand(2 * step, levels, a[r][0]);
    words[r].operand(2 * step + 1, levels, a[r][1]);
    NIBBLE_UNROLL
    for (std::uint32_t g = 0; g < groups; ++g) group[r][g] = words[r].group(groups * step + g);
  }
  NIBBLE_UNROLL
  for (std::uint32_t j = 0; j < token_tiles; ++j) {
    if (j != 0 && j >= n) break;
    const Words4 b = load(j);
    NIBBLE_UNROLL
    for (std::uint32_t r = 0; r < row_tiles; ++r) {
      NIBBLE_UNROLL
      for (std::uint32_t g = 0; g < groups; ++g) {
        float dot[4];
        if constexpr (groups == 1) {
          device::begin_tile(dot, a[r][0], {b.x, b.y});
          device::multiply_tile(dot, a[r][1], {b.z, b.w});
        } else {
          device::begin_tile(dot, a[r][g], {g == 0 ? b.x : b.z, g == 0 ? b.y : b.w});
        }
        NIBBLE_UNROLL
        for (std::uint32_t i = 0; i < 4; ++i) {
          float& out = acc[r][j][i];
          out = device::fma(group[r][g].scale[i / 2], dot[i], out);
        }
      }
    }
  }
}

// After both halves of a tile, of formats with mins: acc[r][j] += m * (mins . sums); load(j) gives this
// lane's sums of token tile j.
template <FragmentLayout layout, std::uint32_t row_tiles, std::uint32_t token_tiles, class Load>
NIBBLE_DEVICE void add_mins(const TileWords<layout> (&words)[row_tiles], std::uint32_t n, const Load& load,
                            float (&acc)[row_tiles][token_tiles][4]) {
  constexpr std::uint32_t operands = TileWords<layout>::min_operands;
  std::uint32_t a[row_tiles][operands][2];
  NIBBLE_UNROLL
  for (std::uint32_t r = 0; r < row_tiles; ++r) {
    NIBBLE_UNROLL
    for (std::uint32_t m = 0; m < operands; ++m)
      words[r].mins(m, device::thread() % device::warp_size, a[r][m]);
  }
  NIBBLE_UNROLL
  for (std::uint32_t j = 0; j < token_tiles; ++j) {
    if (j != 0 && j >= n) break;
    const std::uint32_t sums = load(j);
    NIBBLE_UNROLL
    for (std::uint32_t r = 0; r < row_tiles; ++r) {
      NIBBLE_UNROLL
      for (std::uint32_t m = 0; m < operands; ++m) {
        float dot[4];
        device::begin_narrow_tile(dot, a[r][m], sums);
        NIBBLE_UNROLL
        for (std::uint32_t i = 0; i < 4; ++i)
          acc[r][j][i] = device::fma(words[r].min_factor(m, i / 2), dot[i], acc[r][j][i]);
      }
    }
  }
}

}  // namespace nibble::inline v0::cuda
