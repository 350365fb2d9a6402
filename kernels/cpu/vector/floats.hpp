// The float operations of a tier with vectors, written once on xsimd.
// A tier's floats.cpp makes its FloatKernels of it; the references they equal are kernels/reference.
//
// Bound by the caches, gate and softcap by the multipliers and dividers.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/cpu/vector/exponential.hpp"

namespace nibble::inline v0::cpu {
namespace {

// Squares are added in 4 vectors by turns, these pairwise, then their lanes.
template <class Arch>
float sum_of_squares(const float* in, std::size_t n) {
  using V = Floats<Arch>;
  V sums[4] = {V(0.0f), V(0.0f), V(0.0f), V(0.0f)};
  std::size_t i = 0;
  for (; i + 4 * lanes<Arch> <= n; i += 4 * lanes<Arch>) {
#pragma GCC unroll 4
    for (std::size_t s = 0; s < 4; ++s) {
      const V x = V::load_unaligned(in + i + s * lanes<Arch>);
      sums[s] = multiply_add<Arch>(x, x, sums[s]);
    }
  }
  for (; i < n; i += lanes<Arch>) {
    const V x = load_part<Arch>(in + i, std::min(lanes<Arch>, n - i));
    sums[0] = multiply_add<Arch>(x, x, sums[0]);
  }
  float all[lanes<Arch>], sum = 0;
  ((sums[0] + sums[1]) + (sums[2] + sums[3])).store_unaligned(all);
  for (float lane : all) sum += lane;
  return sum;
}

template <class Arch>
void norm(const float* in, const float* weight, float* out, std::size_t n, float eps) {
  using V = Floats<Arch>;
  const double mean = static_cast<double>(sum_of_squares<Arch>(in, n)) / static_cast<double>(n);
  const V scale(static_cast<float>(1.0 / std::sqrt(mean + eps)));
  for_lanes<Arch>(
      n, out, [=](const V& x, const V& w) { return x * scale * w; }, in, weight);
}

// A plain loop: with the stride known, compilers turn it into vectors.
template <bool adjacent>
void rotate(float* __restrict head, const float* __restrict cos, const float* __restrict sin,
            std::size_t pairs) {
  const std::size_t step = adjacent ? 2 : 1, apart = adjacent ? 1 : pairs;
  for (std::size_t j = 0; j < pairs; ++j) {
    const float x = head[j * step], y = head[j * step + apart];
    head[j * step] = x * cos[j] - y * sin[j];
    head[j * step + apart] = x * sin[j] + y * cos[j];
  }
}

inline void rope(float* head, const float* cos, const float* sin, std::size_t pairs, RopePairs layout) {
  layout == RopePairs::adjacent ? rotate<true>(head, cos, sin, pairs) : rotate<false>(head, cos, sin, pairs);
}

// x / (1 + e^-x); gelu in its tanh form is the same with e^-2y for e^-x: (1 + tanh y) / 2 = 1 / (1 + e^-2y).
template <class Arch>
void gate(const float* gate_in, const float* up, float* out, std::size_t n, Activation activation) {
  using V = Floats<Arch>;
  const auto silu = [](const V& x, const V& u) { return x * u / (V(1.0f) + exponential<Arch>(-x)); };
  const auto gelu_tanh = [](const V& x, const V& u) {
    constexpr float slope = -2.0f * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
    const V y = multiply_add<Arch>(x * x * x, V(0.044715f), x);
    return x * u / (V(1.0f) + exponential<Arch>(V(slope) * y));
  };
  // The bounds come first: minimum and maximum of these tiers give their second argument where one is NaN.
  const auto clamped_swish = [](const V& x, const V& u) {
    const V a = xsimd::min(V(7.0f), x), b = xsimd::max(V(-7.0f), xsimd::min(V(7.0f), u));
    return a * (b + V(1.0f)) / (V(1.0f) + exponential<Arch>(V(-1.702f) * a));
  };
  switch (activation) {
    case Activation::silu: return for_lanes<Arch>(n, out, silu, gate_in, up);
    case Activation::gelu_tanh: return for_lanes<Arch>(n, out, gelu_tanh, gate_in, up);
    case Activation::clamped_swish: return for_lanes<Arch>(n, out, clamped_swish, gate_in, up);
  }
}

template <class Arch>
void add(const float* a, const float* b, float* out, std::size_t n) {
  for_lanes<Arch>(
      n, out, [](const auto& x, const auto& y) { return x + y; }, a, b);
}

template <class Arch>
void finish(float* x, const float* bias, std::size_t n, float scale, float softcap) {
  using V = Floats<Arch>;
  if (bias != nullptr) add<Arch>(x, bias, x, n);
  if (scale != 1.0f)
    for_lanes<Arch>(
        n, x, [=](const V& v) { return v * V(scale); }, x);
  if (softcap == 0) return;
  for_lanes<Arch>(
      n, x, [=](const V& v) { return V(softcap) * hyperbolic_tangent<Arch>(v / V(softcap)); }, x);
}

template <class Arch>
constexpr FloatKernels float_kernels = {norm<Arch>, rope, gate<Arch>, add<Arch>, finish<Arch>};

}  // namespace
}  // namespace nibble::inline v0::cpu
