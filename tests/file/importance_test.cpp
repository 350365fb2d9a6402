// Importance matrices in both their forms, and what is wrong with them.
// See nibble/file/importance.hpp.
#include "nibble/file/importance.hpp"

#include <limits>

#include "support/bytes.hpp"
#include "support/expect_error.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

Bytes entry(std::string_view name, std::uint32_t calls, const std::vector<float>& values) {
  Bytes bytes;
  bytes.u32(static_cast<std::uint32_t>(name.size()))
      .raw(name)
      .u32(calls)
      .u32(static_cast<std::uint32_t>(values.size()));
  for (const float value : values) bytes.put(value);
  return bytes;
}

Bytes entries() {
  return Bytes().u32(2).raw(entry("a", 2, {1, 0, 3}).data()).raw(entry("b", 0, {4, 4}).data());
}

// Two experts of two inputs; `counts` names the second tensor.
Bytes tensors(std::string_view counts = "a.counts", std::uint32_t type = 0, std::uint64_t n_counts = 2,
              float sum = 3) {
  Bytes bytes = Bytes::gguf(2, 0).tensor("a.in_sum2", {2, 2}, type, 0).tensor(counts, {1, n_counts}, 0, 32);
  bytes.pad(32).put(sum).put(6.0f).put(5.0f).put(7.0f).pad(32).put(3.0f).put(0.0f);
  return bytes;
}

Importance read(const Bytes& bytes) { return read_importance(*as_source(bytes.data())); }

}  // namespace

TEST_CASE("importance: the older form, divided by its calls") {
  const Importance all = read(entries().raw("what follows"));
  REQUIRE(all.size() == 2);
  CHECK(all.at("a") == std::vector<float>{0.5f, 0, 1.5f});
  CHECK(all.at("b") == std::vector<float>{1, 1});
}

TEST_CASE("importance: sums and counts in a GGUF file, expert by expert") {
  CHECK(read(tensors()).at("a") == std::vector<float>{1, 2, 1, 1});
}

TEST_CASE("malformed: importance cut off at any byte") {
  const std::string whole = entries().data();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    CHECK_THROWS_AS(read_importance(*as_source(whole.substr(0, n))), Error);
  }
}

TEST_CASE("malformed: importance, the older form") {
  expect_error([] { read(Bytes().u32(1000).zeros(100)); }, ErrorCode::truncated, "byte 0");
  expect_error([] { read(Bytes().u32(0).zeros(100)); }, ErrorCode::missing, "");
  expect_error([] { read(Bytes().u32(1).u32(0).zeros(100)); }, ErrorCode::malformed, "byte 4");
  expect_error([] { read(Bytes().u32(1).u32(5000).zeros(9000)); }, ErrorCode::limit, "byte 4");
  expect_error([] { read(Bytes().u32(1).u32(1).raw("a").u32(1).u32(9).zeros(8)); }, ErrorCode::truncated,
               "byte 13");
  const Bytes twice = Bytes().u32(2).raw(entry("a", 1, {1}).data()).raw(entry("a", 1, {1}).data());
  expect_error([&] { read(twice); }, ErrorCode::duplicate, "byte 21");
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    expect_error(
        [&] {
          read(Bytes().u32(1).raw(entry("a", 1, {1, bad}).data()));
        },
        ErrorCode::out_of_range, "byte 21");
  }
}

TEST_CASE("malformed: importance in a GGUF file") {
  expect_error([] { read(tensors("b.counts")); }, ErrorCode::missing, "byte 128");
  expect_error([] { read(tensors("a.counts", 26)); }, ErrorCode::unsupported, "byte 128");
  expect_error([] { read(tensors("a.counts", 0, 1)); }, ErrorCode::shape_mismatch, "byte 160");
  expect_error([] { read(tensors("a.counts", 0, 2, -3)); }, ErrorCode::out_of_range, "byte 128");
  expect_error([] { read(Bytes::gguf(0, 0)); }, ErrorCode::missing, "");
}
