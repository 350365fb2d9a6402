// 8 rows by up to four tokens through products of 2x8 and 8x2 int8 matrices (i8mm): a register holds two rows
// by two tokens. Used by matmul.hpp for many tokens; the same sums in the same order as dot_tile.hpp.
#pragma once

#include "kernels/cpu/neon/dot_tile.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

inline constexpr std::size_t most_pairs = 2;  // of tokens

// A stretch of a few tokens, in pairs (the last token meets itself where their number is odd).
struct alignas(64) PairedRows {
  std::int8_t q[stretch / 8][most_pairs][16];          // 8 elements of one token, 8 of the other
  float minus[stretch / least_group][most_pairs][4];   // of a group: one, other, one, other
  float d[stretch / activation_group][most_pairs][4];  // likewise
};

// (one, other, one, other)
inline float32x4_t alternate(float one, float other) {
  return vsetq_lane_f32(other, vsetq_lane_f32(other, vdupq_n_f32(one), 1), 3);
}

template <Groups groups>
inline void pair_rows(const Int8Group* one, const Int8Group* other, std::size_t pair, std::size_t n,
                      PairedRows& out) {
  for (std::size_t k = 0; k < n; k += activation_group, ++one, ++other) {
    const std::size_t in_group = std::min(activation_group, n - k);
    for (std::size_t i = 0; i < in_group; i += 16) {
      const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(one->q + i));
      const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(other->q + i));
      vst1q_s8(out.q[(k + i) / 8][pair], vreinterpretq_s8_s64(vzip1q_s64(a, b)));
      vst1q_s8(out.q[(k + i) / 8 + 1][pair], vreinterpretq_s8_s64(vzip2q_s64(a, b)));
    }
    vst1q_f32(out.d[k / activation_group][pair], alternate(one->d, other->d));
    if constexpr (groups.have_mins) {
      for (std::size_t i = 0; i < in_group; i += groups.size)
        vst1q_f32(out.minus[(k + i) / groups.size][pair],
                  alternate(static_cast<float>(minus_sum<groups>(*one, i)),
                            static_cast<float>(minus_sum<groups>(*other, i))));
    }
  }
}

template <Groups groups, std::size_t pairs>
struct MmlaTile {
  static constexpr std::size_t row_pairs = lanes / 2;
  float32x4_t acc[pairs][row_pairs];

  // Group g of a stretch.
  template <class Form>
  [[gnu::always_inline]] inline void add_group(const Panel<Form>& w, const PairedRows& a, std::size_t g) {
    int32x4_t dot[pairs][row_pairs];
    for (auto& row : dot)
      for (int32x4_t& sum : row) sum = vdupq_n_s32(sum_start);
    const std::int8_t* levels = w.levels + g * groups.size * lanes;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < groups.size / 8; ++i) {
      for (std::size_t r = 0; r < row_pairs; ++r) {
        const int8x16_t level = vld1q_s8(levels + (i * row_pairs + r) * 16);
        for (std::size_t p = 0; p < pairs; ++p)
          dot[p][r] = vmmlaq_s32(dot[p][r], level, vld1q_s8(a.q[g * groups.size / 8 + i][p]));
      }
    }
    for (std::size_t r = 0; r < row_pairs; ++r) {
      const float32x4_t scale = vld1q_f32(w.scales + g * Form::factors + 4 * r);
      for (std::size_t p = 0; p < pairs; ++p) acc[p][r] = vfmaq_f32(acc[p][r], to_float(dot[p][r]), scale);
      if constexpr (groups.have_mins) {
        const float32x4_t min = vld1q_f32(w.mins + g * Form::factors + 4 * r);
        for (std::size_t p = 0; p < pairs; ++p)
          acc[p][r] = vfmaq_f32(acc[p][r], min, vld1q_f32(a.minus[g][p]));
      }
    }
  }

  // Adds a panel of n elements to totals (pairs, row_pairs, 4).
  template <class Form>
  [[gnu::always_inline]] inline void run(const Panel<Form>& w, const PairedRows& a, std::size_t n,
                                         float* totals) {
    for (std::size_t from = 0; from < n; from += activation_group) {
      for (auto& row : acc)
        for (float32x4_t& sum : row) sum = vdupq_n_f32(0);
      const std::size_t to = std::min(n, from + activation_group);
      for (std::size_t k = from; k < to; k += groups.size) add_group(w, a, k / groups.size);
      for (std::size_t p = 0; p < pairs; ++p) {
        const float32x4_t d = vld1q_f32(a.d[from / activation_group][p]);
        for (std::size_t r = 0; r < row_pairs; ++r) {
          float* total = totals + (p * row_pairs + r) * 4;
          vst1q_f32(total, vfmaq_f32(vld1q_f32(total), acc[p][r], d));
        }
      }
    }
  }
};

// Panels for it; see Dots.
struct Products {
  static constexpr const char* names[] = {"codes4/neon-i8mm", "codes4_high/neon-i8mm", "codes2/neon-i8mm",
                                          "codes8/neon-i8mm"};
  static constexpr std::size_t factors = 2 * lanes;  // each for two tokens
  static constexpr std::size_t most_tokens = 2 * most_pairs;
  using Activations = PairedRows;

  static void store_levels(const int8x16_t (&level)[2][2], std::int8_t* out) {
    for (int half = 0; half < 2; ++half) {
      const int32x4_t first = vreinterpretq_s32_s8(level[0][half]),
                      second = vreinterpretq_s32_s8(level[1][half]);
      vst1q_s8(out + 32 * half, vreinterpretq_s8_s32(vzip1q_s32(first, second)));
      vst1q_s8(out + 32 * half + 16, vreinterpretq_s8_s32(vzip2q_s32(first, second)));
    }
  }
  static void store_factors(float32x4_t low, float32x4_t high, float* out) {
    vst1q_f32(out, vzip1q_f32(low, low));
    vst1q_f32(out + 4, vzip2q_f32(low, low));
    vst1q_f32(out + 8, vzip1q_f32(high, high));
    vst1q_f32(out + 12, vzip2q_f32(high, high));
  }
  template <Groups groups>
  static void gather(const Int8Group* const* rows, std::size_t tokens, std::size_t begin, std::size_t end,
                     Activations& out) {
    const std::size_t first = begin / activation_group;
    for (std::size_t t = 0; t < tokens; t += 2)
      pair_rows<groups>(rows[t] + first, rows[std::min(t + 1, tokens - 1)] + first, t / 2, end - begin, out);
  }
  template <Groups groups, std::size_t tokens>
  [[gnu::noinline]] static void run(const Panel<Products>& panel, const Activations& a, std::size_t begin,
                                    std::size_t end, float* totals) {
    MmlaTile<groups, (tokens + 1) / 2>().run(panel, a, end - begin, totals);
  }
  static void store_totals(const float* totals, std::size_t t, std::size_t rows, float* out) {
    for (std::size_t r = 0; r < rows; ++r) out[r] = totals[t / 2 * 2 * lanes + 2 * r + t % 2];
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
