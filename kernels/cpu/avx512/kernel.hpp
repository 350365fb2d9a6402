// A format's MatmulKernel, made from matmul.hpp's template.
// Included by matmul_<family>.cpp, one for each packed family.
#pragma once

#include <type_traits>

#include "kernels/cpu/avx512/avx512.hpp"
#include "kernels/cpu/avx512/matmul.hpp"
#include "kernels/cpu/packed_rows.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

template <class F>
constexpr MatmulKernel kernel = {.name = name,
                                 .row_tile = tile_rows,
                                 .token_tile = token_tile,
                                 .packed_bytes = PackedRows<tile_rows>::bytes,
                                 .pack = PackedRows<tile_rows>::pack,
                                 .decode_row = PackedRows<tile_rows>::decode_row,
                                 .form = &int8_rows,
                                 .scratch_bytes = scratch_bytes<F>,
                                 .run = run<F>};

// The kernel for a format among those of a family: all that formats.hpp lists, so that a new one needs no
// line here.
template <Family family, std::uint32_t number = 0>
const MatmulKernel* find_kernel(const Format& format) {
  if constexpr (number < 64) {
    using F = typename FormatAt<number>::type;
    if constexpr (!std::is_void_v<F>) {
      if constexpr (F::family == family) {
        if (format.dtype == Dtype{number}) return &kernel<F>;
      }
    }
    return find_kernel<family, number + 1>(format);
  }
  return nullptr;
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
