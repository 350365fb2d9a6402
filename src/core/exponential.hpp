// exp() for arguments up to zero, from IEEE additions and multiplications alone.
// Serves the sampler, whose choices must not depend on a platform's mathematical library, and devices that
// foresee them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace nibble::inline v0 {

// exp(x) for x <= 0, within 2 units in the last place; 0 below -708. Written without branches, so that
// compilers vectorise loops over it.
constexpr double exp_of_nonpositive(double x) noexcept {
  constexpr double log2_e = 1.4426950408889634;
  constexpr double ln2_high = 0x1.62e42fee00000p-1,
                   ln2_low = 0x1.a39ef35793c76p-33;  // fdlibm's split of ln 2
  constexpr double rounder = 0x1.8p52;  // adding it rounds to an integer, kept in the lowest bits
  const double clamped = std::max(x, -708.0);
  const double shifted = clamped * log2_e + rounder;
  const double n = shifted - rounder;
  const double r = (clamped - n * ln2_high) - n * ln2_low;  // |r| <= ln(2) / 2
  // The Taylor series: the first term left out is below 2^-57 of the sum.
  double p = 1.0 / 6227020800.0;
  for (const double c : {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0,
                         6.0, 2.0, 1.0, 1.0})
    p = p * r + 1.0 / c;
  // 2^n, by way of the exponent bits.
  const double power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
  return x < -708.0 ? 0.0 : p * power;
}

// The same in float for -87 <= x <= 0, within 2e-7.
inline float exp_of_nonpositive(float x) noexcept {
  constexpr float log2_e = 1.44269504f, ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  constexpr float rounder = 0x1.8p23f;
  const float shifted = x * log2_e + rounder;
  const float n = shifted - rounder;
  const float r = (x - n * ln2_high) - n * ln2_low;
  float p = 1.0f / 5040.0f;
  for (const float c : {720.0f, 120.0f, 24.0f, 6.0f, 2.0f, 1.0f, 1.0f}) p = p * r + 1.0f / c;
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127) << 23);
  return p * power;
}

}  // namespace nibble::inline v0
