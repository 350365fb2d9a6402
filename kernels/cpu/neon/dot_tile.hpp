// 8 rows by up to four tokens through int8 dot products (dotprod): a lane is a row. Used by matmul.hpp, for
// few tokens on the packed stream itself and for many on panels.
#pragma once

#include <utility>

#include "kernels/cpu/int8_rows.hpp"
#include "kernels/cpu/neon/panel.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

// The negative sum of the activations that the group of weights at k meets.
template <Groups groups>
inline std::int32_t minus_sum(const Int8Group& a, std::size_t k) {
  return groups.size == 16 ? minus16(a, k / 16) : a.minus32[k / 32];
}

// One group's weights in the packed stream: codes, still to be freed of their bias.
template <class F>
struct PackedGroup {
  static constexpr int bias = neon::bias<F>;
  const std::byte* planes;
  int first;
  BlockAt at;
  std::size_t g;

  int8x16_t levels(int q, int half) const { return load_codes<F>(planes, first + q, half); }
  float32x4_t scale(int half) const { return load_scale<F>(at, g, half); }
  float32x4_t min(int half) const { return load_min<F>(at, g, half); }
};

// Elements of a row tile whose groups lie at fixed distances: at most an activation group's, of one block or
// of the blocks whose sections lie together.
template <class F>
struct PackedSection {
  static constexpr PackedLayout layout = layout_of<F>();
  static constexpr std::size_t size =
      std::min<std::size_t>(activation_group, std::size_t{F::block_size} * layout.tile_blocks);
  BlockAt at;         // its first block
  std::size_t begin;  // in that block

  // Quads from `first` on of the 32 elements at k.
  PackedGroup<F> group(std::size_t k, int first) const {
    constexpr std::size_t plane_bytes = F::codes.code_bits * 4 * lanes;
    const std::size_t block = F::block_size < size ? k / F::block_size : 0;
    const std::size_t i = begin + k - block * F::block_size;
    const BlockAt here = {at.codes + block * layout.codes, at.scales + block * layout.scales,
                          at.mins + block * layout.mins, at.d + block * layout.d, at.m + block * layout.m};
    return {here.codes + i / plane_size * plane_bytes, first, here,
            (i + 4 * static_cast<std::size_t>(first)) / F::codes.group};
  }
};

template <class F>
struct PackedTile {
  const std::byte* tile;
  std::size_t cols;
  static constexpr std::size_t section_size = PackedSection<F>::size;

  PackedSection<F> section(std::size_t k) const {
    return {block_at<F>(tile, k / F::block_size, cols / F::block_size),
            F::block_size > section_size ? k % F::block_size : 0};
  }
};

// The same in a panel that begins at `begin`.
struct PanelGroup {
  static constexpr int bias = 0;
  const std::int8_t* bytes;
  const float *scales, *mins;

  int8x16_t levels(int q, int half) const { return vld1q_s8(bytes + (2 * q + half) * 16); }
  float32x4_t scale(int half) const { return vld1q_f32(scales + 4 * half); }
  float32x4_t min(int half) const { return vld1q_f32(mins + 4 * half); }
};

template <Groups groups, class Form>
struct PanelTile {
  const Panel<Form>& panel;
  std::size_t begin;
  static constexpr std::size_t section_size = activation_group;

  struct Section {
    const Panel<Form>& panel;
    std::size_t begin;

    PanelGroup group(std::size_t k, int first) const {
      const std::size_t i = begin + k + 4 * static_cast<std::size_t>(first), g = i / groups.size;
      return {panel.levels + i * lanes, panel.scales + g * Form::factors, panel.mins + g * Form::factors};
    }
  };
  Section section(std::size_t k) const { return {panel, k - begin}; }
};

template <Groups groups, std::size_t tokens>
struct DotTile {
  float32x4_t acc[tokens][2];

  template <class Group>
  [[gnu::always_inline]] inline void add_group(const Group& w, const Int8Group* const (&a)[tokens],
                                               std::size_t k) {
    int32x4_t dot[tokens][2];
    for (std::size_t t = 0; t < tokens; ++t) {
      std::int32_t start = sum_start;
      if constexpr (Group::bias != 0) start += Group::bias * minus_sum<groups>(*a[t], k);
      dot[t][0] = dot[t][1] = vdupq_n_s32(start);
    }
    const auto add_quad = [&]<int q>(std::integral_constant<int, q>) {
      for (int half = 0; half < 2; ++half) {
        const int8x16_t levels = w.levels(q, half);
        for (std::size_t t = 0; t < tokens; ++t) {
          const int8x16_t x = vld1q_s8(a[t]->q + k + q / 4 * 16);
          dot[t][half] = vdotq_laneq_s32(dot[t][half], levels, x, q % 4);
        }
      }
    };
    [&]<int... q>(std::integer_sequence<int, q...>) { (add_quad(std::integral_constant<int, q>()), ...); }
    (std::make_integer_sequence<int, groups.size / 4>());
    for (int half = 0; half < 2; ++half) {
      const float32x4_t scale = w.scale(half);
      for (std::size_t t = 0; t < tokens; ++t)
        acc[t][half] = vfmaq_f32(acc[t][half], to_float(dot[t][half]), scale);
      if constexpr (groups.have_mins) {
        const float32x4_t min = w.min(half);
        for (std::size_t t = 0; t < tokens; ++t)
          acc[t][half] = vfmaq_n_f32(acc[t][half], min, static_cast<float>(minus_sum<groups>(*a[t], k)));
      }
    }
  }

  // Adds elements [begin, end) to totals (tokens, 8).
  template <class Rows>
  [[gnu::always_inline]] inline void run(const Rows& rows, const Int8Group* const* in, std::size_t begin,
                                         std::size_t end, float* totals) {
    for (std::size_t from = begin; from < end; from += activation_group) {
      const Int8Group* a[tokens];
      for (std::size_t t = 0; t < tokens; ++t) {
        a[t] = in[t] + from / activation_group;
        acc[t][0] = acc[t][1] = vdupq_n_f32(0);
      }
      const std::size_t n = std::min(activation_group, end - from);
      for (std::size_t k = 0; k < n; k += Rows::section_size) {
        const auto section = rows.section(from + k);
        for (std::size_t i = 0; i < std::min(n - k, Rows::section_size); i += plane_size) {
#pragma GCC unroll 2
          for (std::size_t in_plane = 0; in_plane < plane_size; in_plane += groups.size)
            add_group(section.group(i, static_cast<int>(in_plane / 4)), a, k + i + in_plane);
        }
      }
      for (std::size_t t = 0; t < tokens; ++t) {
        for (int half = 0; half < 2; ++half) {
          float* total = totals + t * lanes + 4 * half;
          vst1q_f32(total, vfmaq_n_f32(vld1q_f32(total), acc[t][half], a[t]->d));
        }
      }
    }
  }
};

// What matmul.hpp asks of a form of panels: how levels and factors lie, what becomes of a few rows of
// activations, and the tile that runs over both.
struct Dots {
  static constexpr const char* names[] = {"codes4/neon", "codes4_high/neon", "codes2/neon", "codes8/neon"};
  static constexpr std::size_t factors = lanes;
  static constexpr std::size_t most_tokens = 4;
  using Activations = const Int8Group* [most_tokens];

  // Two quads, each in halves of 4 rows.
  static void store_levels(const int8x16_t (&level)[2][2], std::int8_t* out) {
    for (int i = 0; i < 4; ++i) vst1q_s8(out + 16 * i, level[i / 2][i % 2]);
  }
  static void store_factors(float32x4_t low, float32x4_t high, float* out) {
    vst1q_f32(out, low);
    vst1q_f32(out + 4, high);
  }
  template <Groups>
  static void gather(const Int8Group* const* rows, std::size_t tokens, std::size_t, std::size_t,
                     Activations& out) {
    std::copy_n(rows, tokens, out);
  }
  template <Groups groups, std::size_t tokens>
  [[gnu::noinline]] static void run(const Panel<Dots>& panel, const Activations& a, std::size_t begin,
                                    std::size_t end, float* totals) {
    DotTile<groups, tokens>().run(PanelTile<groups, Dots>{panel, begin}, a, begin, end, totals);
  }
  // Token t of a tile's totals.
  static void store_totals(const float* totals, std::size_t t, std::size_t rows, float* out) {
    std::copy_n(totals + t * lanes, rows, out);
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
