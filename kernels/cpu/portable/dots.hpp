// Dot products of several rows with several others at once, in the one order that the portable tier uses.
// Private to kernels/cpu/portable: the inner loop of matmul and attention.
#pragma once

#include <cstddef>

namespace nibble::inline v0::cpu::portable {
namespace {

// Four floats: one register of every 64-bit CPU. An output has eight lanes; lane l adds up the products at
// k = l, l + 8, ... in increasing order.
typedef float Lanes __attribute__((vector_size(16), may_alias));
constexpr std::size_t n_lanes = 8;

struct Sum {
  Lanes low, high;
};

inline float total(const Sum& sum) noexcept {
  const Lanes v = sum.low + sum.high;
  return (v[0] + v[2]) + (v[1] + v[3]);
}

// sums[t * sums_stride + r] += a[t] * w[r], lane by lane; n is a multiple of n_lanes and rows are 16-byte
// aligned. Two by three fill twelve of SSE2's sixteen registers: five loads feed six products.
template <std::size_t rows, std::size_t tokens>
inline void accumulate(const float* w, std::size_t w_stride, const float* a, std::size_t a_stride,
                       std::size_t n, Sum* sums, std::size_t sums_stride) noexcept {
  Sum local[tokens][rows];
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) local[t][r] = sums[t * sums_stride + r];
  }
  for (std::size_t k = 0; k < n; k += n_lanes) {
#pragma GCC unroll 4
    for (std::size_t t = 0; t < tokens; ++t) {
      const auto* activation = reinterpret_cast<const Lanes*>(a + t * a_stride + k);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < rows; ++r) {
        const auto* weight = reinterpret_cast<const Lanes*>(w + r * w_stride + k);
        local[t][r].low += activation[0] * weight[0];
        local[t][r].high += activation[1] * weight[1];
      }
    }
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) sums[t * sums_stride + r] = local[t][r];
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu::portable
