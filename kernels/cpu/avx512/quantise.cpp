// Float rows to int8 with this tier's instructions: the same bits as int8_rows.hpp's plain loops, which leave
// the sums to shuffles. What the matmuls of coded formats read.
#include <immintrin.h>

#include <bit>

#include "kernels/cpu/avx512/avx512.hpp"
#include "kernels/cpu/int8_rows.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

constexpr std::size_t lanes = 16;

// The negative sums of 64 q: bytes moved up by 128 add up to 8 x 128 more in each of eight lanes.
void negative_sums(__m512i q, std::int32_t* minus_low, std::int32_t* minus32) {
  const __m512i of8 = _mm512_sad_epu8(_mm512_xor_si512(q, _mm512_set1_epi8(-128)), _mm512_setzero_si512());
  const __m512i of16 = _mm512_add_epi64(of8, _mm512_bsrli_epi128(of8, 8));  // in the even lanes
  const __m512i low = _mm512_sub_epi64(_mm512_set1_epi64(16 * 128), of16);
  const __m512i both = _mm512_add_epi64(low, _mm512_shuffle_i64x2(low, low, 0b10'11'00'01));
  for (const std::size_t i : {0, 1}) {
    minus_low[i] = static_cast<std::int32_t>(low[4 * i]);
    minus32[i] = static_cast<std::int32_t>(both[4 * i]);
  }
}

void quantise_whole_group(const float* in, Int8Group& group) {
  __m512 x[activation_group / lanes];
  __m512i bits = _mm512_setzero_si512();
  for (std::size_t i = 0; i < std::size(x); ++i) {
    x[i] = _mm512_loadu_ps(in + i * lanes);
    bits = _mm512_max_epu32(bits, _mm512_castps_si512(_mm512_abs_ps(x[i])));
  }
  const __m512 inverse = _mm512_set1_ps(set_unit(std::bit_cast<float>(_mm512_reduce_max_epu32(bits)), group));
  const auto q = [&](std::size_t i) {
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x[i], inverse)));
  };
  for (std::size_t i = 0; i < std::size(x); i += 4) {  // joined in registers: the sums would wait for stores
    __m512i q64 = _mm512_castsi128_si512(q(i));
    q64 = _mm512_inserti32x4(q64, q(i + 1), 1);
    q64 = _mm512_inserti32x4(q64, q(i + 2), 2);
    q64 = _mm512_inserti32x4(q64, q(i + 3), 3);
    _mm512_storeu_si512(group.q + i * lanes, q64);
    negative_sums(q64, group.minus_low + i / 2, group.minus32 + i / 2);
  }
}

}  // namespace

const ActivationForm int8_rows = {int8_row_bytes, quantise_row<quantise_whole_group>};

}  // namespace nibble::inline v0::cpu::avx512
