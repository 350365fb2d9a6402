// The kernel table's matmul for a kind of dot products: a MatmulKernel for every coded format, made from
// matmul.hpp's template. Included by table.cpp of avx2 and of avx2_vnni.
#pragma once

#include <type_traits>

#include "kernels/cpu/avx2/avx2.hpp"
#include "kernels/cpu/avx2/matmul.hpp"
#include "kernels/cpu/packed_rows.hpp"

namespace nibble::inline v0::cpu::avx2 {
namespace {

inline std::size_t scratch_bytes(std::size_t) { return sizeof(Scratch); }

constexpr ActivationForm int8_rows = {int8_row_bytes, quantise_row<>};

template <class F, class Dots>
constexpr MatmulKernel kernel = {.name = Dots::names[static_cast<int>(F::family)],
                                 .row_tile = row_tile,
                                 .token_tile = token_tile,
                                 .packed_bytes = PackedRows<row_tile>::bytes,
                                 .pack = PackedRows<row_tile>::pack,
                                 .decode_row = PackedRows<row_tile>::decode_row,
                                 .form = &int8_rows,
                                 .scratch_bytes = scratch_bytes,
                                 .run = run<F, Dots>};

// Of every coded format that formats.hpp lists, so that a new one needs no line here; of floats their own.
template <class Dots, std::uint32_t number = 0>
const MatmulKernel* find_kernel(const Format& format) {
  if constexpr (number < 64) {
    using F = typename FormatAt<number>::type;
    if constexpr (!std::is_void_v<F>) {
      if constexpr (F::codes.group != 0) {
        if (format.dtype == Dtype{number}) return &kernel<F, Dots>;
      }
    }
    return find_kernel<Dots, number + 1>(format);
  }
  return float_kernel(format);
}

template <class Dots>
const MatmulKernel* matmul(const Format& format, std::size_t, std::size_t) {
  return find_kernel<Dots>(format);
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx2
