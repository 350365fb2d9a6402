// Decoding, bit for bit: against blocks decoded by another implementation, and against closed forms that are
// written here from the layouts alone.
#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/blocks.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace quant_test;

namespace {

std::size_t count_differences(const std::vector<float>& a, const std::vector<float>& b) {
  std::size_t n = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    n += std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]) ? 1 : 0;
  }
  return n;
}

// Element i of a block, straight from its bytes.
struct ClosedForm {
  const std::uint8_t* b;
  int i;

  float half(int at) const {
    const int bits = b[at] | b[at + 1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double value = std::ldexp(exponent == 0 ? fraction : fraction + 1024, std::max(exponent, 1) - 25);
    return static_cast<float>(bits >> 15 ? -value : value);
  }
  int nibble(int at) const { return b[at + i % 16] >> 4 * (i / 16) & 15; }
  int bit(int at, int n) const { return b[at + n / 8] >> n % 8 & 1; }
  int two_bits(int at) const { return b[at + 32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3; }
  int nibble64(int at) const { return b[at + 32 * (i / 64) + i % 32] >> 4 * (i / 32 & 1) & 15; }
  // The 6-bit scale and min of group s in the 12 bytes at byte 4.
  int scale6(int s) const { return s < 4 ? b[4 + s] & 63 : (b[8 + s] & 15) | b[s] >> 6 << 4; }
  int min6(int s) const { return s < 4 ? b[8 + s] & 63 : b[8 + s] >> 4 | b[4 + s] >> 6 << 4; }

  float value(std::string_view name) const {
    static constexpr int curve[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
    static constexpr int e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const int l = i % 32, k = i / 16, s = i / 32;
    if (name == "Q4_0") return half(0) * float(nibble(2) - 8);
    if (name == "Q4_1") return half(0) * float(nibble(4)) + half(2);
    if (name == "Q5_0") return half(0) * float((nibble(6) | bit(2, i) << 4) - 16);
    if (name == "Q5_1") return half(0) * float(nibble(8) | bit(4, i) << 4) + half(2);
    if (name == "Q8_0") return half(0) * float(static_cast<std::int8_t>(b[2 + i]));
    if (name == "IQ4_NL") return half(0) * float(curve[nibble(2)]);
    if (name == "MXFP4") return static_cast<float>(std::ldexp(1.0, b[0] - 128) * e2m1[nibble(1)]);
    if (name == "Q2_K")
      return half(80) * float(b[k] & 15) * float(two_bits(16)) - half(82) * float(b[k] >> 4);
    if (name == "Q3_K") {
      const int scale = (b[96 + k % 8] >> 4 * (k / 8) & 15) | (b[104 + k % 4] >> 2 * (k / 4) & 3) << 4;
      return half(108) * float(scale - 32) * float(two_bits(32) - ((b[l] >> s & 1) != 0 ? 0 : 4));
    }
    if (name == "Q4_K") return half(0) * float(scale6(s)) * float(nibble64(16)) - half(2) * float(min6(s));
    if (name.starts_with("Z4_")) {
      const int n = name == "Z4_32" ? 32 : 128, scale = b[4 + s];
      const int code = b[4 + n / 32 + 16 * s + i % 16] >> 4 * (l / 16) & 15;
      return half(0) * float(scale & 15) * float(code) - half(2) * float(scale >> 4);
    }
    if (name == "Q5_K") {
      return half(0) * float(scale6(s)) * float(nibble64(48) | (b[16 + l] >> s & 1) << 4) -
             half(2) * float(min6(s));
    }
    if (name == "Q6_K") {
      const int h = i / 128, j = i % 128 / 32;
      const int code = (b[64 * h + 32 * (j & 1) + l] >> 4 * (j >> 1) & 15) | two_bits(128) << 4;
      return half(208) * float(static_cast<std::int8_t>(b[192 + k])) * float(code - 32);
    }
    if (name == "IQ4_XS") {
      const int scale = (b[4 + s / 2] >> 4 * (s & 1) & 15) | ((b[2] | b[3] << 8) >> 2 * s & 3) << 4;
      return half(0) * float(scale - 32) * float(curve[b[8 + 16 * s + i % 16] >> 4 * (l / 16) & 15]);
    }
    FAIL("no closed form for " << name);
    return 0;
  }
};

}  // namespace

TEST_CASE("blocks decode as another implementation decodes them") {
  for (const Format& format : formats()) {
    if (format.dtype == Dtype::F32 || format.name.starts_with("Z4_")) continue;  // Z4: nobody else's
    CAPTURE(format.name);
    const std::string blocks = read_file(fixture(std::string(format.name) + ".bin"));
    const std::vector<float> expected = read_floats(fixture(std::string(format.name) + ".f32"));
    REQUIRE_FALSE(expected.empty());
    REQUIRE(blocks.size() == row_bytes(format, expected.size()));
    std::vector<float> decoded(expected.size());
    format.decode(reinterpret_cast<const std::byte*>(blocks.data()), decoded.data(), decoded.size());
    CHECK(count_differences(decoded, expected) == 0);
  }
}

TEST_CASE("blocks decode as the closed forms say") {
  constexpr std::size_t n_blocks = 300;
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    const std::vector<std::byte> blocks = random_blocks(format, n_blocks, 7);
    std::vector<float> decoded(n_blocks * format.block_size), expected;
    format.decode(blocks.data(), decoded.data(), decoded.size());
    for (std::size_t block = 0; block < n_blocks; ++block) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(blocks.data()) + block * format.block_bytes;
      for (int i = 0; i < int(format.block_size); ++i)
        expected.push_back(ClosedForm{bytes, i}.value(format.name));
    }
    CHECK(count_differences(decoded, expected) == 0);
  }
}

TEST_CASE("blocks decode from any address") {
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    const std::vector<std::byte> blocks = random_blocks(format, 2, 3);
    std::vector<std::byte> moved(blocks.size() + 1);
    std::memcpy(moved.data() + 1, blocks.data(), blocks.size());
    std::vector<float> a(2 * format.block_size), b(a.size());
    format.decode(blocks.data(), a.data(), a.size());
    format.decode(moved.data() + 1, b.data(), b.size());
    CHECK(count_differences(a, b) == 0);
  }
}

TEST_CASE("scales and codes decode as the formula of CodeLayout") {
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    const CodeLayout& codes = format.codes;
    const std::vector<std::byte> block = random_blocks(format, 1, 5);
    BlockParts parts;
    format.split(block.data(), parts);
    std::vector<float> decoded(format.block_size), expected;
    format.decode(block.data(), decoded.data(), decoded.size());
    const float d = codes.d_is_e8m0 ? e8m0_half_to_f32(std::uint8_t(parts.d)) : f16_to_f32(parts.d);
    for (unsigned i = 0; i < format.block_size; ++i) {
      const unsigned g = i / codes.group;
      const int signed_scale =
          codes.scale_bits == 8 ? static_cast<std::int8_t>(parts.scale[g]) : parts.scale[g];
      const int signed_code = codes.code_bits == 8 ? static_cast<std::int8_t>(parts.code[i]) : parts.code[i];
      const float scale = d * float(codes.scale_bits != 0 ? signed_scale - codes.scale_zero : 1);
      const float min =
          codes.min_bits != 0 ? -(f16_to_f32(parts.m) * float(parts.min[g])) : f16_to_f32(parts.m);
      const float product =
          scale * float(codes.levels ? codes.levels[signed_code] : signed_code - codes.zero);
      expected.push_back(codes.has_m ? product + min : product);
    }
    CHECK(count_differences(decoded, expected) == 0);
  }
}
