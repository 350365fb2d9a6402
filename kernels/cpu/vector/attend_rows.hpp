// A page's keys and values as rows of vectors, and products with them: one loop for scores and outputs.
// The inner loop of attend.hpp.
#pragma once

#include <algorithm>

#include "kernels/cpu/vector/elements.hpp"
#include "nibble/backend/kv_page.hpp"
#include "nibble/core/aligned_bytes.hpp"

namespace nibble::inline v0::cpu {
namespace {

// One head's keys (head_dim, slots) or values (slots, head_dim) in a page.
template <class Arch, KvType type, KvPart part>
struct PageRows {
  using V = Floats<Arch>;
  static constexpr std::size_t element = type == KvType::F32 ? 4 : type == KvType::Q8_0 ? 1 : 2;

  const std::byte* elements;
  std::size_t width;     // of a row
  const float* scales;   // Q8_0: (head_dim / 32, slots) of keys, (slots, head_dim / 32) of values
  std::ptrdiff_t ahead;  // bytes to the rows that will be read next

  // The rows from k on that share their scales end here.
  std::size_t block_end(std::size_t k, std::size_t end) const {
    if constexpr (type != KvType::Q8_0) return end;
    if constexpr (part == KvPart::values) return k + 1;
    return std::min(end, (k / kv_scale_block + 1) * kv_scale_block);
  }
  V scale(std::size_t k, std::size_t j) const {
    if constexpr (type != KvType::Q8_0) return V(1.0f);
    if constexpr (part == KvPart::values) return V(scales[k * (width / kv_scale_block) + j / kv_scale_block]);
    return V::load_unaligned(scales + k / kv_scale_block * width + j);
  }
  V load(std::size_t k, std::size_t j, const V& scale) const {
    return convert(elements + (k * width + j) * element, scale);
  }
  // Zeros from the row's end on.
  V load_part(std::size_t k, std::size_t j) const {
    if (j + lanes<Arch> <= width) return load(k, j, scale(k, j));
    std::byte row_end[lanes<Arch> * element] = {};
    if (j < width) std::memcpy(row_end, elements + (k * width + j) * element, (width - j) * element);
    return convert(row_end, V(1.0f));
  }
  // The line that is so many bytes further than an element.
  void fetch(std::size_t k, std::size_t j, std::ptrdiff_t bytes) const {
    __builtin_prefetch(elements + (k * width + j) * element + bytes);
  }

 private:
  static V convert(const std::byte* from, const V& scale) {
    if constexpr (type == KvType::F32) return V::load_unaligned(reinterpret_cast<const float*>(from));
    if constexpr (type == KvType::F16) return load_f16<Arch>(from);
    if constexpr (type == KvType::BF16) return load_bf16<Arch>(from);
    if constexpr (type == KvType::Q8_0) return load_int8<Arch>(from) * scale;
  }
};

// sum[q][v] += a[q][k] * rows[k][j + v * lanes...], for k in [begin, end): one chain each. Fetches as many
// lines as it reads, `ahead` bytes further.
template <class Arch, std::size_t n, std::size_t n_v, class Rows>
[[gnu::always_inline]] inline void multiply(const float* const (&a)[n], const Rows& rows, std::size_t begin,
                                            std::size_t end, std::size_t j, std::ptrdiff_t ahead,
                                            Floats<Arch> (&sum)[n][n_v]) {
  using V = Floats<Arch>;
  for (std::size_t k = begin; k < end;) {
    V scale[n_v];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < n_v; ++v) scale[v] = rows.scale(k, j + v * lanes<Arch>);
    for (const std::size_t block_end = rows.block_end(k, end); k < block_end; ++k) {
      V b[n_v];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < n_v; ++v) {
        if (v * lanes<Arch> * Rows::element % line_bytes == 0) rows.fetch(k, j + v * lanes<Arch>, ahead);
        b[v] = rows.load(k, j + v * lanes<Arch>, scale[v]);
      }
#pragma GCC unroll 8
      for (std::size_t q = 0; q < n; ++q) {
        const V x(a[q][k]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < n_v; ++v) sum[q][v] = multiply_add<Arch>(x, b[v], sum[q][v]);
      }
    }
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu
