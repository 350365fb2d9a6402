// Floats to a block, for every format that has codes: fit each group, round scales and mins, then the codes.
// Between the floats to be quantised and a format's join().
#pragma once

#include <algorithm>
#include <cmath>

#include "nibble/quant/coded.hpp"
#include "nibble/quant/fit.hpp"

namespace nibble::inline v0 {

// The half nearest to `value`, never infinite.
inline std::uint16_t finite_half(float value) noexcept {
  return f32_to_f16(std::clamp(value, -65504.0f, 65504.0f));
}

inline float inverse_or_zero(float value) noexcept {
  const float inverse = 1 / value;
  return std::isfinite(inverse) ? inverse : 0;
}

// The levels that a format's codes stand for. Eight-bit codes leave -128 out: it has no counterpart.
template <class Coded>
constexpr auto code_levels() noexcept {
  constexpr CodeLayout codes = Coded::codes;
  if constexpr (HasLevels<Coded>) {
    return TableLevels{Coded::levels};
  } else if constexpr (codes.code_bits == 8) {
    return WholeLevels{-127, 127};
  } else {
    return WholeLevels{-float(codes.zero), float((1 << codes.code_bits) - 1 - codes.zero)};
  }
}

// The levels that group scales, as integers, may have.
template <class Coded>
constexpr WholeLevels factor_levels() noexcept {
  constexpr CodeLayout codes = Coded::codes;
  constexpr int zero = codes.scale_bits == 8 ? 128 : codes.scale_zero;
  return {-float(zero), float((1 << codes.scale_bits) - 1 - zero)};
}

// The codes of one group, whose scale and min are settled.
template <class Coded>
void round_codes(const float* x, float scale, float min, std::uint8_t* code) noexcept {
  constexpr auto levels = code_levels<Coded>();
  const float inverse = inverse_or_zero(scale);
  for (unsigned i = 0; i < Coded::codes.group; ++i) {
    code[i] = static_cast<std::uint8_t>(levels.code((x[i] - min) * inverse) + Coded::codes.zero);
  }
}

// No mins, one scale: value = d * level.
template <class Coded>
void encode_scale(const float* x, const float* w, BlockParts& parts) noexcept {
  constexpr auto levels = code_levels<Coded>();
  parts.d = finite_half(fit_scale<Coded::block_size>(x, w, levels).best_scale());
  round_codes<Coded>(x, f16_to_f32(parts.d), 0, parts.code);
}

// No mins, group scales: value = d * factor(g) * level. Group scales are found first, then d and the factors
// that are nearest to them, then for each group the best factor at hand, and last the best d for all that.
template <class Coded>
void encode_scales(const float* x, const float* w, BlockParts& parts) noexcept {
  constexpr unsigned n = Coded::codes.group, groups = Coded::block_size / n;
  constexpr auto levels = code_levels<Coded>();
  constexpr WholeLevels factors = factor_levels<Coded>();
  float scale[groups], weight[groups], factor[groups] = {};
  for (unsigned g = 0; g < groups; ++g) {
    const ScaleSums sums = fit_scale<n>(x + g * n, w + g * n, levels);
    scale[g] = sums.best_scale();
    weight[g] = sums.qq;
  }
  const float d = f16_to_f32(finite_half(fit_scale<groups>(scale, weight, factors).best_scale()));
  ScaleSums all;
  for (unsigned g = 0; g < groups; ++g) {
    const float nearest = factors.nearest(scale[g] * inverse_or_zero(d));
    ScaleSums best;
    for (float f = std::max(nearest - 1, factors.low); f <= std::min(nearest + 1, factors.high); ++f) {
      const ScaleSums sums = sum_levels<n>(x + g * n, w + g * n, inverse_or_zero(d * f), levels);
      if (sums.gain(d * f) > best.gain(d * factor[g])) best = sums, factor[g] = f;
    }
    all.xq += factor[g] * best.xq;
    all.qq += factor[g] * factor[g] * best.qq;
  }
  parts.d = finite_half(all.best_scale());
  for (unsigned g = 0; g < groups; ++g) {
    parts.scale[g] = static_cast<std::uint8_t>(static_cast<int>(factor[g]) + Coded::codes.scale_zero);
    round_codes<Coded>(x + g * n, f16_to_f32(parts.d) * factor[g], 0, parts.code + g * n);
  }
}

// A scale and an offset: value = d * code + m.
template <class Coded>
void encode_line(const float* x, const float* w, BlockParts& parts) noexcept {
  constexpr unsigned n = Coded::block_size;
  constexpr float top = code_levels<Coded>().high;
  const Line line = fit_line<n>(x, w, top, false).best_line(false);
  parts.d = finite_half(line.scale);
  const float d = f16_to_f32(parts.d);
  parts.m = finite_half(sum_levels<n>(x, w, inverse_or_zero(d), line.offset, top).best_offset(d));
  round_codes<Coded>(x, d, f16_to_f32(parts.m), parts.code);
}

// One group's scale and min as integers, and what its numbers then sum to.
struct GroupLine {
  float factor = 0, min = 0;
  LineSums sums;
};

// The best integers near `line` for given d and m: each factor in turn, with the min that suits it.
template <class Coded>
GroupLine round_line(const float* x, const float* w, Line line, float d, float m) noexcept {
  constexpr WholeLevels factors = factor_levels<Coded>(), mins{0, (1 << Coded::codes.min_bits) - 1};
  constexpr float top = code_levels<Coded>().high;
  const float nearest = factors.nearest(line.scale * inverse_or_zero(d));
  GroupLine best;
  float least = INFINITY;
  for (float f = std::max(nearest - 1, 0.0f); f <= std::min(nearest + 1, factors.high); ++f) {
    float offset = line.offset;
    for (int round = 0; round < 2; ++round) {
      const float min = mins.nearest(-offset * inverse_or_zero(m));
      const LineSums sums = sum_levels<Coded::codes.group>(x, w, inverse_or_zero(d * f), -(m * min), top);
      const float error = sums.error({d * f, -(m * min)});
      if (error < least) least = error, best = {f, min, sums};
      offset = sums.best_offset(d * f);
    }
  }
  return best;
}

// Group scales and mins: value = d * factor(g) * code - m * min(g). The steps of encode_scales.
template <class Coded>
void encode_lines(const float* x, const float* w, BlockParts& parts) noexcept {
  constexpr unsigned n = Coded::codes.group, groups = Coded::block_size / n;
  constexpr WholeLevels factors = factor_levels<Coded>(), mins{0, (1 << Coded::codes.min_bits) - 1};
  constexpr unsigned lanes = std::max(groups, fit_lanes);  // the fit takes no fewer; what is left is zero
  float scale[lanes] = {}, weight[lanes] = {}, min[lanes] = {}, min_weight[lanes] = {};
  for (unsigned g = 0; g < groups; ++g) {
    const LineSums sums = fit_line<n>(x + g * n, w + g * n, code_levels<Coded>().high, true);
    const Line line = sums.best_line(true);
    scale[g] = line.scale;
    weight[g] = sums.qq;
    min[g] = -line.offset;
    min_weight[g] = sums.w;
  }
  float d = f16_to_f32(finite_half(fit_scale<lanes>(scale, weight, factors).best_scale()));
  float m = f16_to_f32(finite_half(fit_scale<lanes>(min, min_weight, mins).best_scale()));
  GroupLine lines[groups];
  double ff = 0, fm = 0, mm = 0, xf = 0, xm = 0;  // of all elements: factor * code, min, and x by each other
  for (unsigned g = 0; g < groups; ++g) {
    lines[g] = round_line<Coded>(x + g * n, w + g * n, {scale[g], -min[g]}, d, m);
    const auto& [f, h, sums] = lines[g];
    ff += f * f * sums.qq, fm += f * h * sums.q, mm += h * h * sums.w;
    xf += f * sums.xq(), xm += h * sums.x();
  }
  const double determinant = ff * mm - fm * fm;  // of: d ff - m fm = xf, d fm - m mm = xm
  if (determinant > 1e-9 * ff * mm) {
    d = static_cast<float>((xf * mm - xm * fm) / determinant);
    m = static_cast<float>((xf * fm - xm * ff) / determinant);
  }
  parts.d = finite_half(d);
  parts.m = finite_half(m);
  for (unsigned g = 0; g < groups; ++g) {
    parts.scale[g] = static_cast<std::uint8_t>(lines[g].factor);
    parts.min[g] = static_cast<std::uint8_t>(lines[g].min);
    const float group_min = -(f16_to_f32(parts.m) * lines[g].min);
    round_codes<Coded>(x + g * n, f16_to_f32(parts.d) * lines[g].factor, group_min, parts.code + g * n);
  }
}

// One power of two a block, levels in any order: the least error among the powers near the largest number.
template <class Coded>
void encode_power(const float* x, const float* w, BlockParts& parts) noexcept {
  constexpr unsigned n = Coded::block_size;
  constexpr int largest_e = 252;  // above it a level may exceed the largest float
  float largest = 0;
  for (unsigned i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  if (largest == 0) return;
  const int exponent = std::ilogb(largest);
  float y[n];
  for (unsigned i = 0; i < n; ++i) y[i] = std::ldexp(x[i], -exponent);
  float least = INFINITY;
  for (int shift = 1; shift <= 3; ++shift) {
    const int e = std::clamp(128 + exponent - shift, 0, largest_e);
    const float unit = std::ldexp(1.0f, e - 128 - exponent);
    float error = 0;
    std::uint8_t code[n] = {};
    for (unsigned i = 0; i < n; ++i) {
      float nearest = INFINITY;
      for (std::uint8_t c = 0; c < 16; ++c) {
        const float distance = std::fabs(y[i] - unit * static_cast<float>(Coded::levels[c]));
        if (distance < nearest) nearest = distance, code[i] = c;
      }
      error += w[i] * nearest * nearest;
    }
    if (error < least) {
      least = error;
      parts.d = static_cast<std::uint16_t>(e);
      std::copy_n(code, n, parts.code);
    }
  }
}

// x finite and not so large that its square is not; w above 0 and near 1.
template <class Coded>
void encode_coded(const float* x, const float* w, typename Coded::Block& block) noexcept {
  constexpr CodeLayout codes = Coded::codes;
  BlockParts parts{};
  if constexpr (codes.d_is_e8m0) {
    encode_power<Coded>(x, w, parts);
  } else if constexpr (codes.min_bits != 0) {
    encode_lines<Coded>(x, w, parts);
  } else if constexpr (codes.has_m) {
    encode_line<Coded>(x, w, parts);
  } else if constexpr (codes.scale_bits != 0) {
    encode_scales<Coded>(x, w, parts);
  } else {
    encode_scale<Coded>(x, w, parts);
  }
  Coded::join(parts, block);
}

}  // namespace nibble::inline v0
