// Weights decoded for many tokens: a row tile's stretch of K as signed bytes and float factors, small enough
// for the first-level cache. Between the packed stream and the tiles of dot_tile.hpp and mmla_tile.hpp.
#pragma once

#include "kernels/cpu/neon/codes.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

inline constexpr std::size_t stretch = 256;  // elements of a panel: whole blocks and activation groups
inline constexpr std::size_t least_group = 16;

// All that a tile knows of a format: elements that share a scale, and whether they share a min.
struct Groups {
  std::size_t size;
  bool have_mins;
};
template <class F>
constexpr Groups groups_of = {F::codes.group, F::codes.has_m};

// `Form` says in which order a tile reads levels and factors (Form::factors floats for the 8 rows).
template <class Form>
struct alignas(64) Panel {
  std::int8_t levels[stretch * lanes];
  float scales[stretch / least_group * Form::factors];
  float mins[stretch / least_group * Form::factors];
};

// Group g of a block, `levels` onward.
template <class F, class Form>
inline void decode_group(const BlockAt& at, std::size_t g, std::int8_t* levels) {
  constexpr std::size_t group = F::codes.group;
  constexpr std::size_t plane_bytes = F::codes.code_bits * 4 * lanes;
  const std::byte* planes = at.codes + g * group / plane_size * plane_bytes;
  const int first = static_cast<int>(g * group % plane_size / 4);
#pragma GCC unroll 8
  for (int q = 0; q < static_cast<int>(group / 4); q += 2) {
    int8x16_t level[2][2];
    for (int i = 0; i < 4; ++i)
      level[i / 2][i % 2] = vsubq_s8(load_codes<F>(planes, first + q + i / 2, i % 2), vdupq_n_s8(bias<F>));
    Form::store_levels(level, levels + q * 4 * static_cast<int>(lanes));
  }
}

// Elements [begin, end) of the row tile at `tile`, whose rows have `cols`.
template <class F, class Form>
[[gnu::noinline]] void decode_panel(const std::byte* tile, std::size_t cols, std::size_t begin,
                                    std::size_t end, Panel<Form>& panel) {
  constexpr std::size_t group = F::codes.group;
  std::int8_t* levels = panel.levels;
  float *scales = panel.scales, *mins = panel.mins;
  for (std::size_t k = begin; k < end; k += F::block_size) {
    const BlockAt at = block_at<F>(tile, k / F::block_size, cols / F::block_size);
#pragma GCC unroll 2
    for (std::size_t g = 0; g < F::block_size / group; ++g) {
      decode_group<F, Form>(at, g, levels);
      Form::store_factors(load_scale<F>(at, g, 0), load_scale<F>(at, g, 1), scales);
      if constexpr (F::codes.has_m) Form::store_factors(load_min<F>(at, g, 0), load_min<F>(at, g, 1), mins);
      levels += group * lanes;
      scales += Form::factors;
      mins += Form::factors;
    }
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
