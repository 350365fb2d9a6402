// The table of formats: who is in it, how it is searched, and that blocks come apart and together exactly.
#include <algorithm>
#include <cctype>

#include "quant/blocks.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace quant_test;

TEST_CASE("the table holds every format of the specification it claims, in order") {
  const std::pair<const char*, std::uint32_t> expected[] = {
      {"F32", 0},     {"F16", 1},     {"Q4_0", 2},  {"Q4_1", 3},   {"Q5_0", 6},   {"Q5_1", 7},
      {"Q8_0", 8},    {"Q2_K", 10},   {"Q3_K", 11}, {"Q4_K", 12},  {"Q5_K", 13},  {"Q6_K", 14},
      {"IQ4_NL", 20}, {"IQ4_XS", 23}, {"BF16", 30}, {"MXFP4", 39}, {"Z4_32", 62}, {"Z4_128", 63}};
  REQUIRE(formats().size() == std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    CHECK(formats()[i].name == expected[i].first);
    CHECK(formats()[i].dtype == Dtype{expected[i].second});
  }
}

TEST_CASE("formats are found by number and by name in any case") {
  for (const Format& format : formats()) {
    CHECK(find_format(format.dtype) == &format);
    CHECK(find_format(format.name) == &format);
    std::string lower(format.name), upper(format.name);
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    CHECK(find_format(lower) == &format);
    CHECK(find_format(upper) == &format);
  }
}

TEST_CASE("unknown formats are not found") {
  for (const std::uint32_t number : {4u, 5u, 9u, 15u, 16u, 24u, 26u, 40u, 255u, 256u, 0xffffffffu}) {
    CHECK(find_format(Dtype{number}) == nullptr);
  }
  for (const char* name : {"", "Q", "Q4", "Q4_", "Q4_00", " Q4_0", "Q4-0", "I32", "q4_k_m"}) {
    CHECK(find_format(name) == nullptr);
  }
}

TEST_CASE("a row takes the bytes the specification says") {
  CHECK(row_bytes(*find_format("F32"), 4096) == 16384);
  CHECK(row_bytes(*find_format("Q4_0"), 4096) == 2304);
  CHECK(row_bytes(*find_format("Q6_K"), 4096) == 3360);
  CHECK(row_bytes(*find_format("MXFP4"), 2880) == 1530);
}

TEST_CASE("any bytes come apart and together bit for bit") {
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    const std::size_t n_blocks = 1000;
    const std::vector<std::byte> blocks = random_bytes(n_blocks * format.block_bytes, 11);
    std::vector<std::byte> joined(blocks.size());
    for (std::size_t at = 0; at < blocks.size(); at += format.block_bytes) {
      BlockParts parts;
      format.split(blocks.data() + at, parts);
      format.join(parts, joined.data() + at);
    }
    CHECK(joined == blocks);
  }
}

TEST_CASE("parts stay within their bits, and unused ones are zero") {
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    const CodeLayout& codes = format.codes;
    const unsigned groups = format.block_size / codes.group;
    for (const std::byte& block : {std::byte{0}, std::byte{255}}) {
      const std::vector<std::byte> bytes(format.block_bytes, block);
      BlockParts parts;
      std::memset(&parts, 0xa5, sizeof parts);
      format.split(bytes.data(), parts);
      const bool ones = block != std::byte{0};
      for (unsigned i = 0; i < 256; ++i) {
        CHECK(parts.code[i] == (ones && i < format.block_size ? (1 << codes.code_bits) - 1 : 0));
      }
      for (unsigned g = 0; g < 16; ++g) {
        CHECK(parts.scale[g] == (ones && g < groups ? (1 << codes.scale_bits) - 1 : 0));
        CHECK(parts.min[g] == (ones && g < groups ? (1 << codes.min_bits) - 1 : 0));
      }
      CHECK(parts.m == (ones && codes.has_m ? 0xffff : 0));
      CHECK(parts.d == (!ones ? 0 : codes.d_is_e8m0 ? 0xff : 0xffff));
    }
  }
}
