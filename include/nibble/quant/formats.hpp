// The list of block formats: one line each. To add a format, write its header and include it here.
// Everything else (loaders, packing, portable kernels, quantize, tests) works from this list.
#pragma once

#include <span>

#include "nibble/core/export.hpp"
#include "nibble/quant/format.hpp"

#include "nibble/quant/bf16.hpp"
#include "nibble/quant/f16.hpp"
#include "nibble/quant/f32.hpp"
#include "nibble/quant/iq4_nl.hpp"
#include "nibble/quant/iq4_xs.hpp"
#include "nibble/quant/mxfp4.hpp"
#include "nibble/quant/q2_k.hpp"
#include "nibble/quant/q3_k.hpp"
#include "nibble/quant/q4_0.hpp"
#include "nibble/quant/q4_1.hpp"
#include "nibble/quant/q4_k.hpp"
#include "nibble/quant/q5_0.hpp"
#include "nibble/quant/q5_1.hpp"
#include "nibble/quant/q5_k.hpp"
#include "nibble/quant/q6_k.hpp"
#include "nibble/quant/q8_0.hpp"
#include "nibble/quant/z4.hpp"

namespace nibble::inline v0 {

// Every format of the list, in the order of their GGUF numbers.
NIBBLE_API std::span<const Format> formats() noexcept;

// The format of a type number or name ("Q4_K", any case), or null where this build does not know it.
NIBBLE_API const Format* find_format(Dtype dtype) noexcept;
NIBBLE_API const Format* find_format(std::string_view name) noexcept;

// Bytes of one row of `cols` elements; `cols` must be a multiple of the block size.
constexpr std::uint64_t row_bytes(const Format& format, std::uint64_t cols) noexcept {
  return cols / format.block_size * format.block_bytes;
}

}  // namespace nibble::inline v0
