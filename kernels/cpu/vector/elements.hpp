// Vectors of stored elements as floats: halves, bfloat16, int8; what xsimd leaves to each tier.
// Below attention.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "kernels/cpu/vector/batch.hpp"

namespace nibble::inline v0::cpu {
namespace {

// lanes<Arch> elements each, at any alignment.
template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> load_f16(const std::byte* from) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__ARM_NEON)
  return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(from))));
#endif
}

template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> load_bf16(const std::byte* from) {
#if defined(__AVX512F__)
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
#elif defined(__AVX2__)
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
#elif defined(__ARM_NEON)
  const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(from)));
  return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
#endif
}

template <class Arch>
[[gnu::always_inline]] inline Floats<Arch> load_int8(const std::byte* from) {
#if defined(__AVX512F__)
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
#elif defined(__AVX2__)
  const __m128i codes = _mm_loadu_si64(from);
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
#elif defined(__ARM_NEON)
  std::uint32_t codes;
  std::memcpy(&codes, from, sizeof codes);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(codes))))));
#endif
}

}  // namespace
}  // namespace nibble::inline v0::cpu
