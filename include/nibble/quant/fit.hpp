// The search for scales: given numbers and the levels they may become, the factor of least squared error.
// Between the floats to be quantised and encode.hpp, which turns the result into blocks.
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
};

// Sixteen levels in ascending order.
struct TableLevels {
  const std::int8_t* levels;
  float low = levels[0], high = levels[15];
  float step = 14;

  float nearest(float value) const noexcept {
    float level = low;
    for (int i = 1; i < 16; ++i) {
      const float middle = 0.5f * static_cast<float>(levels[i - 1] + levels[i]);
      const float gap = static_cast<float>(levels[i] - levels[i - 1]);
      level += value > middle ? gap : 0.0f;
    }
    return level;
  }
};

// x ~ scale * level. `weight` is how much a change of scale costs: the weighted sum of squared levels.
struct ScaleFit {
  float scale = 0;
  float weight = 0;
  float gain = 0;  // by how much the squared error is below that of scale 0
};

// The best scale for the levels that x * inverse rounds to.
template <unsigned n, class Levels>
ScaleFit refit_scale(const float* x, const float* w, float inverse, const Levels& levels) noexcept {
  constexpr unsigned lanes = 8;  // sums kept apart, so that they need not be added in one order
  float xq[lanes] = {}, qq[lanes] = {};
  for (unsigned i = 0; i < n; i += lanes) {
    for (unsigned l = 0; l < lanes; ++l) {
      const float q = levels.nearest(x[i + l] * inverse);
      const float wq = w[i + l] * q;
      xq[l] += wq * x[i + l];
      qq[l] += wq * q;
    }
  }
  for (unsigned l = 1; l < lanes; ++l) xq[0] += xq[l], qq[0] += qq[l];
  if (!(qq[0] > 0)) return {};
  return {xq[0] / qq[0], qq[0], xq[0] * (xq[0] / qq[0])};
}

// Tries the scales that bring the number of largest magnitude near the lowest or the highest level, `tries`
// to either side of each, and improves the best in turn with its levels. Scale 0 where all x are 0.
template <unsigned n, class Levels>
ScaleFit fit_scale(const float* x, const float* w, const Levels& levels, int tries) noexcept {
  float extreme = 0;
  for (unsigned i = 0; i < n; ++i) extreme = std::fabs(x[i]) > std::fabs(extreme) ? x[i] : extreme;
  if (std::fabs(extreme) < 0x1p-100f) return {};
  ScaleFit best;
  for (const float outermost : {levels.low, levels.high}) {
    if (outermost == 0) continue;
    for (int k = -tries; k <= tries; ++k) {
      const float target = outermost + levels.step * static_cast<float>(k) / static_cast<float>(tries + 1);
      const ScaleFit fit = refit_scale<n>(x, w, target / extreme, levels);
      if (fit.gain > best.gain) best = fit;
    }
  }
  for (int round = 0; round < 2 && best.scale != 0; ++round) {
    const ScaleFit fit = refit_scale<n>(x, w, 1 / best.scale, levels);
    if (fit.gain > best.gain) best = fit;
  }
  return best;
}

}  // namespace nibble::inline v0
