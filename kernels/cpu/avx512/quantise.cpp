// Float rows to the int8 form that the dot products read: each group of 32 by its own largest magnitude.
// Equals d = max |x| / 127, q = x / d rounded to nearest even; bound by memory.
#include <immintrin.h>

#include <cstring>

#include "kernels/cpu/avx512/activations.hpp"
#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

namespace {

// Groups below this are zero: 127 over their largest would be infinite.
constexpr float smallest = 0x1p-120f;

std::size_t row_size(std::size_t cols) { return activation_layout(cols).bytes; }

void convert(const float* in, std::size_t cols, std::byte* out) {
  const ActivationLayout layout = activation_layout(cols);
  std::memset(out, 0, layout.bytes);
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* d = reinterpret_cast<float*>(out + layout.d);
  auto* s = reinterpret_cast<std::int32_t*>(out + layout.s);
  for (std::size_t k = 0; k < cols; k += activation_group) {
    const __m512 x0 = _mm512_loadu_ps(in + k), x1 = _mm512_loadu_ps(in + k + sum_group);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
    d[k / activation_group] = largest / 127.0f;
    const __m512 inverse = _mm512_set1_ps(largest < smallest ? 0.0f : 127.0f / largest);
    const __m512i i0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
    const __m512i i1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + k), _mm512_cvtsepi32_epi8(i0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + k + sum_group), _mm512_cvtsepi32_epi8(i1));
    s[k / sum_group] = -_mm512_reduce_add_epi32(i0);
    s[k / sum_group + 1] = -_mm512_reduce_add_epi32(i1);
  }
}

}  // namespace

const ActivationForm int8_rows = {row_size, convert};

}  // namespace nibble::inline v0::cpu::avx512
