// Dot products of AVX-VNNI: four products of unsigned and signed bytes added to 32 bits by one instruction.
// What avx2_vnni gives to matmul.hpp.
#pragma once

#include "kernels/cpu/avx2/codes.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

struct Dpbusd {
  static constexpr const char* names[] = {"codes4/avx2-vnni", "codes4_high/avx2-vnni", "codes2/avx2-vnni",
                                          "codes8/avx2-vnni"};
  static constexpr int largest_byte = 255;

  // Adds the products of the quads [first, end) of a plane, one group, with a run of tokens.
  template <class F, std::size_t tokens, class Plane>
  [[gnu::always_inline]] static inline void add(const Plane& plane, int first, int end,
                                                const std::int8_t* const (&x)[tokens],
                                                __m256i (&dot)[tokens][halves]) {
#pragma GCC unroll 8
    for (int i = first; i < end; ++i) {
      const int q = quad_at<F>(i);
      const __m256i w[halves] = {plane.quad(q, 0), plane.quad(q, 1)};
      for (std::size_t t = 0; t < tokens; ++t) {
        const __m256i a = broadcast_quad(x[t], q);
        for (std::size_t half = 0; half < halves; ++half)
          dot[t][half] = _mm256_dpbusd_avx_epi32(dot[t][half], w[half], a);
      }
    }
  }
};

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
