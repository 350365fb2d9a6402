// e^x and tanh x on vectors of floats, within 2 units of the last place.
// Used by the gates, soft-caps and softmax of every tier with vectors.
#pragma once

#include "kernels/cpu/vector/batch.hpp"

namespace nibble::inline v0::cpu {
namespace {

// x = n ln 2 + r, |r| <= ln 2 / 2: 2^n times a polynomial in r (coefficients of Cephes' expf). Below -87.3,
// where floats begin to lose digits, it is 0; above 88 it stays at e^88. NaN passes: `max` and `min` return
// their second argument then.
template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> exponential(const Floats<Arch>& any) {
  using V = Floats<Arch>;
  constexpr float round = 0x1.8p23f;  // adding it leaves an integer in the low bits
  const V x = xsimd::min(V(88.0f), xsimd::max(V(-88.0f), any));
  const V shifted = multiply_add<Arch>(x, V(1.44269504088896341f), V(round)), n = shifted - V(round);
  // ln 2 in two parts, the first short enough for n times it to be exact.
  V r = multiply_add<Arch>(n, V(-0.693359375f), x);
  r = multiply_add<Arch>(n, V(2.12194440e-4f), r);
  V p = V(1.9875691500e-4f);
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = multiply_add<Arch>(p, r, V(c));
  p = multiply_add<Arch>(p, r * r, r + V(1.0f));
  const V power = as<V>((as<Words<Arch>>(shifted) << 23) + Words<Arch>(0x3f800000u));
  return xsimd::select(any < V(-87.3f), V(0.0f), p * power);
}

// Near 0, where 1 - 2 / (e^2x + 1) would cancel, an odd polynomial (coefficients of Cephes' tanhf).
template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> hyperbolic_tangent(const Floats<Arch>& x) {
  using V = Floats<Arch>;
  const V z = x * x;
  V p = V(-5.70498872745e-3f);
  for (float c : {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f})
    p = multiply_add<Arch>(p, z, V(c));
  const V near = multiply_add<Arch>(p * z, x, x);
  const V far = V(1.0f) - V(2.0f) / (exponential<Arch>(x + x) + V(1.0f));
  return xsimd::select(z < V(0.625f * 0.625f), near, far);
}

}  // namespace
}  // namespace nibble::inline v0::cpu
