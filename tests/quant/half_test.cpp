// Short floats, all 65,536 of them: exact values, and rounding at and beside every midpoint.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "nibble/quant/half.hpp"
#include "support/catch.hpp"

using namespace nibble;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

double half_value(std::uint32_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double value = std::ldexp(exponent == 0 ? fraction : fraction + 1024, std::max(exponent, 1) - 25);
  return bits >> 15 ? -value : value;
}

double bf16_value(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

// Counts the positive numbers `bits` (all finite, up to `last`) that are not what the midpoints to their
// neighbours round to: below and at an even number's upper midpoint is that number, above it the next.
template <class Round, class Value>
int count_misrounded(std::uint32_t last, Round round, Value value) {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits <= last; ++bits) {
    const float middle = static_cast<float>((value(bits) + value(bits + 1)) / 2);
    wrong += round(std::nextafter(middle, 0.0f)) != bits;
    wrong += round(middle) != bits + bits % 2;
    wrong += round(std::nextafter(middle, infinity)) != bits + 1;
    wrong += round(-middle) != ((bits + bits % 2) | 0x8000);
  }
  return wrong;
}

}  // namespace

TEST_CASE("every half has its exact value, and comes back") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(bits));
    if ((bits & 0x7fff) > 0x7c00) {
      wrong +=
          std::bit_cast<std::uint32_t>(value) != ((bits & 0x8000) << 16 | 0x7fc00000 | (bits & 0x3ff) << 13);
      wrong += f32_to_f16(value) != (bits | 0x200);
      continue;
    }
    const double exact = (bits & 0x7fff) == 0x7c00 ? (bits >> 15 ? -infinity : infinity) : half_value(bits);
    wrong += value != exact || std::signbit(value) != (bits >> 15 != 0);
    wrong += f32_to_f16(value) != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("floats round to the nearest half, ties to even") {
  CHECK(count_misrounded(
            0x7bfe, [](float value) { return f32_to_f16(value); }, half_value) == 0);
  CHECK(f32_to_f16(65519.996f) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(-1e30f) == 0xfc00);
  CHECK(f32_to_f16(1e-30f) == 0x0000);
  CHECK(f32_to_f16(-std::numeric_limits<float>::denorm_min()) == 0x8000);
}

TEST_CASE("every bfloat16 has its exact value, and comes back") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_f32(static_cast<std::uint16_t>(bits));
    wrong += std::bit_cast<std::uint32_t>(value) != bits << 16;
    wrong += f32_to_bf16(value) != ((bits & 0x7fff) > 0x7f80 ? bits | 0x40 : bits);
  }
  CHECK(wrong == 0);
}

TEST_CASE("floats round to the nearest bfloat16, ties to even") {
  CHECK(count_misrounded(
            0x7f7e, [](float value) { return f32_to_bf16(value); }, bf16_value) == 0);
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7f800001u)) == 0x7fc0);
}

TEST_CASE("every exponent byte is half its power of two") {
  for (int e = 0; e < 256; ++e)
    CHECK(e8m0_half_to_f32(static_cast<std::uint8_t>(e)) == std::ldexp(1.0f, e - 128));
}
