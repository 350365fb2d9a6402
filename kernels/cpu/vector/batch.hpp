// Vectors of floats of one tier, on xsimd: loading and storing less than a whole one, and what xsimd lacks.
// Below the float kernels and the matmuls of floats; compiled into each tier with its own flags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu {
namespace {

template <class Arch>
using Floats = xsimd::batch<float, Arch>;
template <class Arch>
using Words = xsimd::batch<std::uint32_t, Arch>;

template <class Arch>
inline constexpr std::size_t lanes = Floats<Arch>::size;

// The same bits as another type; xsimd spells it differently from version to version.
template <class To, class From>
[[gnu::always_inline]] inline To as(const From& from) {
  return __builtin_bit_cast(To, from);
}

// a * b + c, rounded once where the tier can; xsimd 8 rounds twice on AVX-512.
template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> multiply_add(const Floats<Arch>& a, const Floats<Arch>& b,
                                                        const Floats<Arch>& c) {
#if defined(__AVX512F__)
  if constexpr (std::is_base_of_v<xsimd::avx512f, Arch>) return _mm512_fmadd_ps(a, b, c);
#endif
  return xsimd::fma(a, b, c);
}

// The lower and the upper half of each word, as floats.
template <class Arch>
[[gnu::always_inline]] inline void expand_halves(const Words<Arch>& words, Floats<Arch> (&out)[2]) {
#if defined(__AVX512F__)
  static constexpr std::uint16_t lower_then_upper[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                                         22, 24, 26, 28, 30, 1,  3,  5,  7,  9,  11,
                                                         13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
  const __m512i halves = _mm512_permutexvar_epi16(_mm512_loadu_si512(lower_then_upper), words);
  out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
  out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
#elif defined(__F16C__)
  const __m256i lower_then_upper =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const __m256i halves =
      _mm256_permute4x64_epi64(_mm256_shuffle_epi8(words, lower_then_upper), 0b11'01'10'00);
  out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
#elif defined(__aarch64__)
  out[0] = vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(words)));
  out[1] = vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(words, 16)));
#endif
}

// The first n lanes, the others zero.
template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> load_part(const float* from, std::size_t n) {
  float all[lanes<Arch>] = {};
  std::memcpy(all, from, n * sizeof(float));
  return Floats<Arch>::load_unaligned(all);
}

template <class Arch>
[[gnu::always_inline]] inline void store_part(const Floats<Arch>& x, float* to, std::size_t n) {
  float all[lanes<Arch>];
  x.store_unaligned(all);
  std::memcpy(to, all, n * sizeof(float));
}

// out[i] = op(in[i]...), any n.
template <class Arch, class Op, class... In>
[[gnu::always_inline]] inline void for_lanes(std::size_t n, float* out, const Op& op, const In*... in) {
  std::size_t i = 0;
  for (; i + lanes<Arch> <= n; i += lanes<Arch>)
    op(Floats<Arch>::load_unaligned(in + i)...).store_unaligned(out + i);
  if (i < n) store_part<Arch>(op(load_part<Arch>(in + i, n - i)...), out + i, n - i);
}

}  // namespace
}  // namespace nibble::inline v0::cpu
