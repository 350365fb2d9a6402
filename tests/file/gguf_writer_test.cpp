// write_gguf: what it writes is what parse_gguf reads; a failed write leaves nothing behind.
#include <cstring>
#include <numeric>

#include "nibble/file/gguf.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/fixtures.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

namespace {

GgufTensor tensor(std::string name, Dtype dtype, Shape shape) {
  return {std::move(name), dtype, shape, [](std::span<std::byte> out) {
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7);
          }};
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("what write_gguf writes, parse_gguf reads") {
  const test::TempFolder folder;
  const auto path = folder.path() / "model.gguf";
  Metadata metadata;
  metadata.set("general.alignment", std::int64_t{64});  // replaced: the writer aligns to 32
  metadata.set("bool", true);
  metadata.set("u32", std::int64_t{0xffffffff});
  metadata.set("i32", std::int64_t{-1});
  metadata.set("u64", std::int64_t{1} << 40);
  metadata.set("i64", -(std::int64_t{1} << 40));
  metadata.set("max", std::uint64_t{~0ull});
  metadata.set("f32", 0.1f + 0.0);
  metadata.set("text", std::string("a\0b", 3));
  metadata.set("bools", std::vector<bool>{true, false});
  metadata.set("i32s", std::vector<std::int64_t>{-5, 5});
  metadata.set("i64s", std::vector<std::int64_t>{1, std::int64_t{1} << 31});
  metadata.set("numbers", std::vector<double>{1.5, -2});
  metadata.set("texts", std::vector<std::string>{"", "x"});
  metadata.set("empty", std::vector<std::string>{});
  const GgufTensor tensors[] = {tensor("a", Dtype::F32, {3, 5}), tensor("b", Dtype::F16, {7}),
                                tensor("c", static_cast<Dtype>(8), {2, 1, 2, 64}),
                                tensor("d", Dtype::I8, {1})};
  write_gguf(path, metadata, tensors);
  CHECK(files_in(folder.path()) == 1);

  const auto source = ByteSource::open(path);
  const Gguf read = parse_gguf(*source);
  CHECK(read.version == 3);
  CHECK(read.alignment == 32);
  metadata.set("general.alignment", std::int64_t{32});
  CHECK(read.metadata.entries().size() == metadata.entries().size());
  for (const auto& [key, entry] : metadata.entries()) {
    INFO(key);
    REQUIRE(read.metadata.has(key));
    CHECK(read.metadata.find(key)->value == entry.value);
  }
  REQUIRE(read.tensors.size() == std::size(tensors));
  std::vector<std::byte> expected(1000);
  for (std::size_t i = 0; i < std::size(tensors); ++i) {
    CHECK(read.tensors[i].name == tensors[i].name);
    CHECK(read.tensors[i].dtype == tensors[i].dtype);
    CHECK(read.tensors[i].shape == tensors[i].shape);
    CHECK(read.tensors[i].offset % 32 == 0);
    tensors[i].fill(expected);
    const auto bytes = read.tensors[i].bytes;
    CHECK(std::equal(bytes.begin(), bytes.end(), expected.begin()));
  }
  CHECK(source->bytes().size() % 32 == 0);
}

TEST_CASE("write_gguf reports progress in bytes") {
  const test::TempFolder folder;
  Watch watch;
  std::vector<std::uint64_t> seen;
  watch.progress = [&](Stage, std::uint64_t done, std::uint64_t total) {
    CHECK(total == 96);
    seen.push_back(done);
  };
  const GgufTensor tensors[] = {tensor("a", Dtype::F32, {16}), tensor("b", Dtype::F32, {8})};
  write_gguf(folder.path() / "model.gguf", Metadata(), tensors, watch);
  CHECK(seen == std::vector<std::uint64_t>{64, 96});
}

TEST_CASE("write_gguf refuses what parse_gguf would") {
  const test::TempFolder folder;
  const auto refused = [&](std::vector<GgufTensor> tensors, ErrorCode code) {
    const Error error =
        test::expect_error([&] { write_gguf(folder.path() / "model.gguf", Metadata(), tensors); }, code, "");
    CHECK(error.field() == tensors.back().name);
    CHECK(files_in(folder.path()) == 0);
  };
  refused({tensor("a", static_cast<Dtype>(4), {32})}, ErrorCode::unsupported);
  refused({tensor("a", Dtype::F32, {})}, ErrorCode::invalid_argument);
  refused({tensor("a", Dtype::F32, {4, 0})}, ErrorCode::invalid_argument);
  refused({tensor("a", static_cast<Dtype>(8), {33})}, ErrorCode::invalid_argument);
  refused({tensor("a", Dtype::F32, {1ull << 32, 1ull << 32})}, ErrorCode::invalid_argument);
  refused({tensor("a", Dtype::F32, {1}), tensor("a", Dtype::F32, {1})}, ErrorCode::duplicate);
}

TEST_CASE("a failed write leaves the old file and no other") {
  const test::TempFolder folder;
  const auto path = folder.write("model.gguf", "old");
  std::stop_source stop;
  Watch watch;
  watch.stop = stop.get_token();
  std::vector<GgufTensor> tensors = {tensor("a", Dtype::F32, {4}), tensor("b", Dtype::F32, {4})};
  SECTION("cancelled") {
    tensors[0].fill = [&](std::span<std::byte>) { stop.request_stop(); };
    test::expect_error([&] { write_gguf(path, Metadata(), tensors, watch); }, ErrorCode::cancelled, "");
  }
  SECTION("the caller's own failure") {
    tensors[1].fill = [](std::span<std::byte>) { throw Error({.code = ErrorCode::unsupported}); };
    test::expect_error([&] { write_gguf(path, Metadata(), tensors, watch); }, ErrorCode::unsupported, "");
  }
  SECTION("out of memory") {
    tensors[1].fill = [](std::span<std::byte>) { throw std::bad_alloc(); };
    test::expect_error([&] { write_gguf(path, Metadata(), tensors, watch); }, ErrorCode::out_of_memory, "");
  }
  CHECK(files_in(folder.path()) == 1);
  CHECK(test::read_text(path) == "old");
}

TEST_CASE("write_gguf to a place that does not exist") {
  const test::TempFolder folder;
  const auto path = folder.path() / "absent" / "model.gguf";
  const Error error = test::expect_error([&] { write_gguf(path, Metadata(), {}); }, ErrorCode::io, "");
  CHECK(error.source() == path.string());
}
