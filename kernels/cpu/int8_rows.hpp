// Activations as every tier's integer matmul reads them: int8 with a float scale per group, and exact sums.
// Between float rows and the matmuls of coded formats; compiled into each tier with its own flags.
//
// A row is groups of 128 columns, each with all that a kernel needs of it side by side and nothing else,
// since these bytes are read again for every row tile; the last group may be shorter, the rest of it being
// zero. x = d q, d = max |x| / 127 over the group, q rounded to nearest even. The negative sums of q are what
// a dot product begins with, times the bias of unsigned codes. The number of columns is a multiple of 32.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu {
namespace {

inline constexpr std::size_t activation_group = 128;

struct Int8Group {
  std::int8_t q[activation_group];
  float d;
  std::int32_t minus32[activation_group / 32];    // negative sums of 32 q
  std::int32_t minus_low[activation_group / 32];  // of the first 16 of them
};

// The negative sum of the i-th 16 q.
inline std::int32_t minus16(const Int8Group& group, std::size_t i) {
  const std::int32_t low = group.minus_low[i / 2];
  return i % 2 == 0 ? low : group.minus32[i / 2] - low;
}

// Bytes of a row: an odd number of lines, so that the rows of a tile spread over all sets of a cache.
inline std::size_t int8_row_bytes(std::size_t cols) {
  const std::size_t groups = (cols + activation_group - 1) / activation_group;
  return ((groups * sizeof(Int8Group) + 63) / 64 | 1) * 64;
}

// Sets d by the largest magnitude of a group; what its columns are multiplied by.
inline float set_unit(float largest, Int8Group& group) {
  constexpr float smallest = 0x1p-120f;  // below, 127 over it would be infinite: such groups are zero
  group.d = largest / 127.0f;
  return largest < smallest ? 0.0f : 127.0f / largest;
}

// n columns of a group, inlined with n a constant: compilers turn the loops into vectors. Magnitudes are
// compared as integers, and adding 1.5 * 2^23 rounds to an integer in the low bits.
[[gnu::always_inline]] inline void quantise_group(const float* in, std::size_t n, Int8Group& group) {
  constexpr float round = 0x1.8p23f;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < n; ++i)
    bits = std::max(bits, std::bit_cast<std::uint32_t>(in[i]) & 0x7fff'ffffu);
  const float inverse = set_unit(std::bit_cast<float>(bits), group);
  for (std::size_t i = 0; i < n; ++i) {
    const float x = in[i] * inverse + round;
    group.q[i] =
        static_cast<std::int8_t>(std::bit_cast<std::int32_t>(x) - std::bit_cast<std::int32_t>(round));
  }
  for (std::size_t k = 0; k < n; k += 32) {
    std::int32_t low = 0, high = 0;
    for (std::size_t i = k; i < k + 16; ++i) low += group.q[i];
    for (std::size_t i = k + 16; i < k + 32; ++i) high += group.q[i];
    group.minus_low[k / 32] = -low;
    group.minus32[k / 32] = -(low + high);
  }
}

inline void quantise_plainly(const float* in, Int8Group& group) {
  quantise_group(in, activation_group, group);
}

// ActivationForm::convert, by what converts a whole group.
template <void whole_group(const float*, Int8Group&) = quantise_plainly>
void quantise_row(const float* in, std::size_t cols, std::byte* out) {
  auto* group = reinterpret_cast<Int8Group*>(out);
  for (; cols >= activation_group; cols -= activation_group, in += activation_group, ++group)
    whole_group(in, *group);
  if (cols == 0) return;
  *group = {};
  quantise_group(in, cols, *group);
}

}  // namespace
}  // namespace nibble::inline v0::cpu
