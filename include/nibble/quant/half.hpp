// Short floats to float and back: IEEE half, bfloat16 and the 8-bit exponent, rounding to nearest even.
// Below every block format; always inlined, so that a tier's file never shares a copy with the others.
#pragma once

#include <bit>
#include <cstdint>

namespace nibble::inline v0 {

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

// Exact; a signalling NaN becomes quiet and keeps its payload, as the hardware does it.
[[gnu::always_inline]] inline float f16_to_f32(std::uint16_t half) noexcept {
  const std::uint32_t rest = half & 0x7fffu;
  std::uint32_t bits = (rest << 13) + (112u << 23);
  if (rest > 0x7c00) bits = (rest << 13) | 0x7fc00000u;
  if (rest == 0x7c00) bits = 0x7f800000u;
  if (rest < 0x0400) bits = std::bit_cast<std::uint32_t>(static_cast<float>(rest) * 0x1p-24f);
  return std::bit_cast<float>(bits | (half & 0x8000u) << 16);
}

[[gnu::always_inline]] inline std::uint16_t f32_to_f16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rest = bits & 0x7fffffffu;
  std::uint32_t half = (rest + 0xfffu + ((rest >> 13) & 1) - (112u << 23)) >> 13;
  if (rest < 0x38800000u) {  // below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits, rounded
    half =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  }
  if (rest >= 0x477ff000u) half = 0x7c00;  // 65520 and above round to infinity
  if (rest > 0x7f800000u) half = 0x7e00 | ((rest >> 13) & 0x3ff);
  return static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000u));
}

[[gnu::always_inline]] inline float bf16_to_f32(std::uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

[[gnu::always_inline]] inline std::uint16_t f32_to_bf16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

// 2^(e - 128): half the power of two that an E8M0 byte stands for, since the levels beside it are doubled.
[[gnu::always_inline]] inline float e8m0_half_to_f32(std::uint8_t e) noexcept {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
}

}  // namespace nibble::inline v0
