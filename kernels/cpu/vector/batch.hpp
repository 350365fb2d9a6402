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
