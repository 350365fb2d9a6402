// Activations as every tier's integer matmul reads them: int8 with a float scale per group, and exact sums.
// Between float rows and the matmuls of coded formats; compiled into each tier with its own flags.
//
// One row, sections at multiples of 64 bytes:
//
//   | q[cols] int8 | d[groups] float | minus16[cols / 16] int32 | minus32[cols / 32] int32 |
//
// x = d q, d = max |x| / 127 over a group of 128 (the last may be shorter), q rounded to nearest even. minus16
// and minus32 are the negative sums of q over 16 and 32 elements: what a dot product begins with, times the
// bias of unsigned codes. `cols` is a multiple of 32.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu {
namespace {

inline constexpr std::size_t activation_group = 128;

// Where the sections of a row lie; bytes is the row's size.
struct Int8Layout {
  std::size_t d, minus16, minus32, bytes;
};

constexpr Int8Layout int8_layout(std::size_t cols) {
  const auto line = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
  const std::size_t d = line(cols);
  const std::size_t minus16 = d + line((cols + activation_group - 1) / activation_group * sizeof(float));
  const std::size_t minus32 = minus16 + line(cols / 16 * sizeof(std::int32_t));
  return {d, minus16, minus32, minus32 + line(cols / 32 * sizeof(std::int32_t))};
}

struct Int8Row {
  const std::int8_t* q;
  const float* d;
  const std::int32_t *minus16, *minus32;
};

inline Int8Row int8_row(const std::byte* row, const Int8Layout& layout) {
  return {reinterpret_cast<const std::int8_t*>(row), reinterpret_cast<const float*>(row + layout.d),
          reinterpret_cast<const std::int32_t*>(row + layout.minus16),
          reinterpret_cast<const std::int32_t*>(row + layout.minus32)};
}

inline std::size_t int8_row_bytes(std::size_t cols) { return int8_layout(cols).bytes; }

// ActivationForm::convert. Plain loops that compilers turn into vectors: magnitudes are compared as integers,
// and adding 1.5 * 2^23 rounds to an integer in the low bits.
inline void quantise_row(const float* in, std::size_t cols, std::byte* out) {
  constexpr float smallest = 0x1p-120f;  // below, 127 over it would be infinite: such groups are zero
  constexpr float round = 0x1.8p23f;
  const Int8Layout layout = int8_layout(cols);
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* d = reinterpret_cast<float*>(out + layout.d);
  auto* minus16 = reinterpret_cast<std::int32_t*>(out + layout.minus16);
  auto* minus32 = reinterpret_cast<std::int32_t*>(out + layout.minus32);
  for (std::size_t begin = 0; begin < cols; begin += activation_group) {
    const std::size_t n = std::min(activation_group, cols - begin);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < n; ++i)
      bits = std::max(bits, std::bit_cast<std::uint32_t>(in[begin + i]) & 0x7fff'ffffu);
    const auto largest = std::bit_cast<float>(bits);
    d[begin / activation_group] = largest / 127.0f;
    const float inverse = largest < smallest ? 0.0f : 127.0f / largest;
    for (std::size_t k = begin; k < begin + n; k += 32) {
      std::int32_t sum[2] = {};
      for (std::size_t half = 0; half < 2; ++half) {
        for (std::size_t i = 0; i < 16; ++i) {
          const float x = in[k + 16 * half + i] * inverse + round;
          const std::int32_t value = std::bit_cast<std::int32_t>(x) - std::bit_cast<std::int32_t>(round);
          q[k + 16 * half + i] = static_cast<std::int8_t>(value);
          sum[half] -= value;
        }
        minus16[k / 16 + half] = sum[half];
      }
      minus32[k / 32] = sum[0] + sum[1];
    }
  }
}

}  // namespace
}  // namespace nibble::inline v0::cpu
