// The kernel table of a form of panels: a MatmulKernel for every coded format, made from matmul.hpp's
// template. Included by table.cpp of neon and of neon_i8mm.
#pragma once

#include <type_traits>

#include "kernels/cpu/neon/matmul.hpp"
#include "kernels/cpu/neon/neon.hpp"
#include "kernels/cpu/packed_rows.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu::neon {
namespace {

template <class Form>
std::size_t scratch_bytes(std::size_t) {
  return sizeof(Scratch<Form>);
}

constexpr ActivationForm int8_rows = {int8_row_bytes, quantise_row<>};

template <class F, class Form>
constexpr MatmulKernel kernel = {.name = Form::names[static_cast<int>(F::family)],
                                 .row_tile = lanes,
                                 .token_tile = token_tile,
                                 .packed_bytes = PackedRows<lanes>::bytes,
                                 .pack = PackedRows<lanes>::pack,
                                 .decode_row = PackedRows<lanes>::decode_row,
                                 .form = &int8_rows,
                                 .scratch_bytes = scratch_bytes<Form>,
                                 .run = run<F, Form>};

// Of every coded format that formats.hpp lists, so that a new one needs no line here; of floats their own.
template <class Form, std::uint32_t number = 0>
const MatmulKernel* find_kernel(const Format& format) {
  if constexpr (number < 64) {
    using F = typename FormatAt<number>::type;
    if constexpr (!std::is_void_v<F>) {
      if constexpr (F::codes.group != 0) {
        if (format.dtype == Dtype{number}) return &kernel<F, Form>;
      }
    }
    return find_kernel<Form, number + 1>(format);
  }
  return float_kernel(format);
}

template <class Form>
const MatmulKernel* matmul(const Format& format, std::size_t, std::size_t) {
  return find_kernel<Form>(format);
}

}  // namespace
}  // namespace nibble::inline v0::cpu::neon
