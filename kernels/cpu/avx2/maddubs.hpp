// Dot products of plain AVX2: pairs of products added in 16 bits, several pairs before they widen to 32.
// What avx2 gives to matmul.hpp.
#pragma once

#include "kernels/cpu/avx2/codes.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

// Compilers would form all products of a group before they add them, far more than fit into registers.
inline __m256i in_order(__m256i x) {
  asm("" : "+x"(x));
  return x;
}

struct Maddubs {
  static constexpr const char* names[] = {"codes4/avx2", "codes4_high/avx2", "codes2/avx2", "codes8/avx2"};
  static constexpr int largest_byte = 127;  // two products of unsigned bytes up to here fit into 16 bits

  // Adds the products of the quads [first, end) of a plane, one group, with a run of tokens. Signed bytes
  // give their sign to the activation: 2 * 128 * 127 fits.
  template <class F, std::size_t tokens, class Plane>
  [[gnu::always_inline]] static inline void add(const Plane& plane, int first, int end,
                                                const std::int8_t* const (&x)[tokens],
                                                __m256i (&dot)[tokens][halves]) {
    using B = Bytes<F, Maddubs>;
    constexpr int group = F::codes.group / 4, fits = 32767 / (2 * 127 * B::range);
    constexpr int n_adds = fits >= group ? group : fits >= 4 ? 4 : fits >= 2 ? 2 : 1;
#pragma GCC unroll 8
    for (int run = first; run < end; run += n_adds) {
      __m256i sum[tokens][halves] = {};
#pragma GCC unroll 8
      for (int i = 0; i < n_adds; ++i) {
        const int q = quad_at<F>(run + i);
        const __m256i w[halves] = {plane.quad(q, 0), plane.quad(q, 1)};
        for (std::size_t t = 0; t < tokens; ++t) {
          const __m256i a = broadcast_quad(x[t], q);
          for (std::size_t half = 0; half < halves; ++half) {
            const __m256i pairs =
                B::are_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[half]), _mm256_sign_epi8(a, w[half]))
                              : _mm256_maddubs_epi16(w[half], a);
            sum[t][half] = in_order(_mm256_add_epi16(sum[t][half], pairs));
          }
        }
      }
      for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t half = 0; half < halves; ++half) {
          const __m256i wide = _mm256_madd_epi16(sum[t][half], _mm256_set1_epi16(1));
          dot[t][half] = in_order(_mm256_add_epi32(dot[t][half], wide));
        }
      }
    }
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
