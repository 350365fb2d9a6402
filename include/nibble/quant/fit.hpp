// The search for scales: given numbers and the levels they may become, the line of least squared error.
// Between the floats to be quantised and encode.hpp, which turns lines into blocks.
#pragma once

#include <cmath>

#include "nibble/quant/format.hpp"

namespace nibble::inline v0 {

// All whole numbers from `low` to `high`.
struct WholeLevels {
  float low, high;
  float step = 1;  // between the outermost levels

  float nearest(float value) const noexcept {
    constexpr float shift = 0x1.8p23f;  // adding it leaves no room for fractions: rounds to even
    value = value < low ? low : value;
    value = value > high ? high : value;
    return (value + shift) - shift;
  }
  // The nearest level, as an integer.
  int code(float value) const noexcept { return static_cast<int>(nearest(value)); }
};

// Sixteen levels in ascending order.
struct TableLevels {
  const std::int8_t* levels;
  float low, high, step;

  explicit constexpr TableLevels(const std::int8_t* table) noexcept
      : levels(table), low(table[0]), high(table[15]), step(high - static_cast<float>(table[14])) {}

  float nearest(float value) const noexcept {
    float level = low;
    for (int i = 1; i < 16; ++i) {
      const float middle = 0.5f * static_cast<float>(levels[i - 1] + levels[i]);
      const float gap = static_cast<float>(levels[i] - levels[i - 1]);
      level += value > middle ? gap : 0.0f;
    }
    return level;
  }
  // The index of the nearest level.
  int code(float value) const noexcept {
    int index = 0;
    for (int i = 1; i < 16; ++i) {
      const float middle = 0.5f * static_cast<float>(levels[i - 1] + levels[i]);
      index += value > middle ? 1 : 0;
    }
    return index;
  }
};

// Sums are kept in eight lanes, so that they need not be added one after the other.
inline constexpr unsigned fit_lanes = 8;

// What is left to know of numbers x with weights w once each has its level q: the sums of w x q and w q q.
struct ScaleSums {
  float xq = 0, qq = 0;

  float best_scale() const noexcept { return qq > 0 ? xq / qq : 0; }
  // By how much the squared error at this scale is below that of scale 0.
  float gain(float scale) const noexcept { return scale * (2 * xq - scale * qq); }
};

// Every x at the level that x * inverse rounds to.
template <unsigned n, class Levels>
ScaleSums sum_levels(const float* x, const float* w, float inverse, const Levels& levels) noexcept {
  float xq[fit_lanes] = {}, qq[fit_lanes] = {};
  for (unsigned i = 0; i < n; i += fit_lanes) {
    for (unsigned l = 0; l < fit_lanes; ++l) {
      const float q = levels.nearest(x[i + l] * inverse);
      const float wq = w[i + l] * q;
      xq[l] += wq * x[i + l];
      qq[l] += wq * q;
    }
  }
  for (unsigned l = 1; l < fit_lanes; ++l) xq[0] += xq[l], qq[0] += qq[l];
  return {xq[0], qq[0]};
}

// The best x ~ scale * q that a search finds: it tries the scales that bring the number of largest magnitude
// near the lowest or the highest level, then improves the best in turn with its levels. 0 where all x are.
template <unsigned n, class Levels>
ScaleSums fit_scale(const float* x, const float* w, const Levels& levels) noexcept {
  constexpr int tries = 3;  // to either side; more gain less than a thousandth
  float extreme = 0;
  for (unsigned i = 0; i < n; ++i) extreme = std::fabs(x[i]) > std::fabs(extreme) ? x[i] : extreme;
  ScaleSums best;
  if (std::fabs(extreme) < 0x1p-100f) return best;
  const auto try_inverse = [&](float inverse) {
    const ScaleSums sums = sum_levels<n>(x, w, inverse, levels);
    if (sums.gain(sums.best_scale()) > best.gain(best.best_scale())) best = sums;
  };
  const float ends[] = {levels.low, levels.high};
  for (const float outermost : ends) {
    if (outermost == 0) continue;
    for (int k = -tries; k <= tries; ++k) {
      try_inverse((outermost + levels.step * static_cast<float>(k) / (tries + 1)) / extreme);
    }
  }
  for (int round = 0; round < 2 && best.xq != 0; ++round) try_inverse(1 / best.best_scale());
  return best;
}

struct Line {
  float scale = 0, offset = 0;
};

// As ScaleSums, for x ~ scale * q + offset. Sums are of y = x - origin: smaller numbers, more exact sums.
struct LineSums {
  float origin = 0;
  float w = 0, q = 0, qq = 0, y = 0, yq = 0, yy = 0;  // sums of w * these

  float x() const noexcept { return y + origin * w; }
  float xq() const noexcept { return yq + origin * q; }
  float best_offset(float scale) const noexcept { return origin + (y - scale * q) / w; }
  Line best_line(bool offset_below_zero) const noexcept {
    const float determinant = w * qq - q * q;
    Line line;
    if (determinant > 1e-6f * w * qq) line.scale = (w * yq - q * y) / determinant;
    line.offset = best_offset(line.scale);
    if (offset_below_zero && line.offset > 0) line = {.scale = qq > 0 ? xq() / qq : 0, .offset = 0};
    return line;
  }
  float error(Line line) const noexcept {
    const float s = line.scale, o = line.offset - origin;
    return yy + s * (s * qq - 2 * yq + 2 * o * q) + o * (o * w - 2 * y);
  }
};

// Every x at the level, 0 to `top`, that (x - origin) * inverse rounds to.
template <unsigned n>
LineSums sum_levels(const float* x, const float* w, float inverse, float origin, float top) noexcept {
  const WholeLevels levels{0, top};
  float sw[fit_lanes] = {}, q[fit_lanes] = {}, qq[fit_lanes] = {};
  float y[fit_lanes] = {}, yq[fit_lanes] = {}, yy[fit_lanes] = {};
  for (unsigned i = 0; i < n; i += fit_lanes) {
    for (unsigned l = 0; l < fit_lanes; ++l) {
      const float distance = x[i + l] - origin;
      const float level = levels.nearest(distance * inverse);
      const float w_level = w[i + l] * level, w_distance = w[i + l] * distance;
      sw[l] += w[i + l], q[l] += w_level, qq[l] += w_level * level;
      y[l] += w_distance, yq[l] += w_distance * level, yy[l] += w_distance * distance;
    }
  }
  for (unsigned l = 1; l < fit_lanes; ++l) {
    sw[0] += sw[l], q[0] += q[l], qq[0] += qq[l], y[0] += y[l], yq[0] += yq[l], yy[0] += yy[l];
  }
  return {origin, sw[0], q[0], qq[0], y[0], yq[0], yy[0]};
}

// The best x ~ scale * q + offset with levels 0 to `top` that a search finds, as fit_scale does.
template <unsigned n>
LineSums fit_line(const float* x, const float* w, float top, bool offset_below_zero) noexcept {
  constexpr int tries = 4;  // to either side, `step` levels apart
  constexpr float step = 0.3f;
  float low = x[0], high = x[0];
  for (unsigned i = 1; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  if (offset_below_zero && low > 0) low = 0;
  const float range = high - low;
  LineSums best = sum_levels<n>(x, w, 0, low, top);
  if (range < 0x1p-100f) return best;
  float least = best.error(best.best_line(offset_below_zero));
  const auto try_line = [&](float inverse, float origin) {
    const LineSums sums = sum_levels<n>(x, w, inverse, origin, top);
    const float error = sums.error(sums.best_line(offset_below_zero));
    if (error < least) least = error, best = sums;
  };
  for (int k = -tries; k <= tries; ++k) try_line((top + step * static_cast<float>(k)) / range, low);
  for (int round = 0; round < 2; ++round) {
    const Line line = best.best_line(offset_below_zero);
    if (line.scale > 0) try_line(1 / line.scale, line.offset);
  }
  return best;
}

}  // namespace nibble::inline v0
