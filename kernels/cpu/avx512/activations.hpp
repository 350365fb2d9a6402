// Activations as the AVX-512 matmul reads them: int8 per group of 32, a float scale each, and exact sums.
// One row: | q[cols] int8 | d[cols / 32] float | s[cols / 16] int32, s = -sum of q | , sections 64-byte
// aligned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nibble::inline v0::cpu::avx512 {
namespace {

inline constexpr std::size_t activation_group = 32;
inline constexpr std::size_t sum_group = 16;

constexpr std::size_t align_line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

struct ActivationRow {
  const std::int8_t* q;
  const float* d;
  const std::int32_t* s;
};

// Where the sections of a row lie; bytes() is the row's size.
struct ActivationLayout {
  std::size_t d, s, bytes;
};

constexpr ActivationLayout activation_layout(std::size_t cols) {
  const std::size_t d = align_line(cols);
  const std::size_t s = d + align_line(cols / activation_group * sizeof(float));
  return {d, s, s + align_line(cols / sum_group * sizeof(std::int32_t))};
}

inline ActivationRow activation_row(const std::byte* row, const ActivationLayout& layout) {
  return {reinterpret_cast<const std::int8_t*>(row), reinterpret_cast<const float*>(row + layout.d),
          reinterpret_cast<const std::int32_t*>(row + layout.s)};
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
