// Malformed GGUF files, numbered as in docs/file.md: each must give exactly one code at exactly one place.
#include "nibble/file/gguf.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

void refused(const Bytes& file, ErrorCode code, std::uint64_t at, const Limits& limits = {}) {
  test::expect_error([&] { parse_gguf(*test::as_source(file.data()), limits); }, code, at_byte(at));
}

constexpr std::uint64_t header_bytes = 24;

// A file with one entry that ends where the value begins.
Bytes one_entry(std::uint32_t type) { return Bytes::gguf(0, 1).key("k", type); }

// A file whose only tensor is as told; `offset_at` and the like are relative to the tensor's start.
struct OneTensor {
  std::vector<std::uint64_t> dims = {4};
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::size_t data = 16;
  static constexpr std::uint64_t n_dims_at = header_bytes + 9;
  static constexpr std::uint64_t dims_at = n_dims_at + 4;

  std::uint64_t type_at() const { return dims_at + 8 * dims.size(); }
  std::uint64_t offset_at() const { return type_at() + 4; }
  Bytes file() const { return Bytes::gguf(1, 0).tensor("t", dims, type, offset).pad(32).zeros(data); }
};

}  // namespace

TEST_CASE("malformed 01: empty or shorter than the header") {
  refused(Bytes(), ErrorCode::truncated, 0);
  refused(Bytes().raw("GGU"), ErrorCode::truncated, 0);
  refused(Bytes().raw("GGUF"), ErrorCode::truncated, 4);
  refused(Bytes().raw("GGUF").u32(3), ErrorCode::truncated, 8);
  refused(Bytes().raw("GGUF").u32(3).u64(0).u32(0), ErrorCode::truncated, 16);
}

TEST_CASE("malformed 02: bad magic") {
  refused(Bytes().raw("GGML").u32(3).u64(0).u64(0), ErrorCode::bad_magic, 0);
  refused(Bytes().raw("FUGG").u32(3).u64(0).u64(0), ErrorCode::bad_magic, 0);
}

TEST_CASE("malformed 03: version 0, 1 or from the future") {
  for (const std::uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    refused(Bytes::gguf(0, 0, version), ErrorCode::unsupported, 4);
  }
}

TEST_CASE("malformed 04: byte-swapped") {
  const auto error =
      test::expect_error([] { parse_gguf(*test::as_source(Bytes::gguf(0, 0, 0x03000000).data())); },
                         ErrorCode::unsupported, "byte 4");
  CHECK(error.found() == "a big-endian file");
}

TEST_CASE("malformed 05: n_kv larger than the bytes left") {
  for (const std::uint64_t n : {1ull, 1ull << 63, ~0ull}) {
    refused(Bytes::gguf(0, n), ErrorCode::truncated, 16);
  }
  refused(Bytes::gguf(0, 8).zeros(8 * 13 - 1), ErrorCode::truncated, 16);
  Limits limits;
  limits.metadata_entries = 7;
  refused(Bytes::gguf(0, 8).zeros(8 * 13), ErrorCode::limit, 16, limits);
}

TEST_CASE("malformed 06: n_tensors larger than the bytes left") {
  for (const std::uint64_t n : {1ull, 1ull << 63, ~0ull}) {
    refused(Bytes::gguf(n, 0), ErrorCode::truncated, 8);
  }
  refused(Bytes::gguf(8, 0).zeros(8 * 24 - 1), ErrorCode::truncated, 8);
  Limits limits;
  limits.tensors = 7;
  refused(Bytes::gguf(8, 0).zeros(8 * 24), ErrorCode::limit, 8, limits);
}

TEST_CASE("malformed 07: key empty, too long, not UTF-8, with NUL") {
  const auto with_key = [](std::string_view key) { return Bytes::gguf(0, 1).key(key, 0).zeros(8); };
  refused(with_key(""), ErrorCode::malformed, header_bytes);
  refused(with_key(std::string(65'536, 'k')), ErrorCode::limit, header_bytes);
  refused(with_key("a\xff"), ErrorCode::malformed, header_bytes);
  refused(with_key("a\xed\xa0\x80"), ErrorCode::malformed, header_bytes);
  refused(with_key(std::string_view("a\0b", 3)), ErrorCode::malformed, header_bytes);
  CHECK(parse_gguf(*test::as_source(with_key(std::string(65'535, 'k')).data())).metadata.entries().size() ==
        1);
}

TEST_CASE("malformed 08: string length past the end") {
  refused(Bytes::gguf(0, 1).u64(~0ull).zeros(16), ErrorCode::truncated, header_bytes);
  for (const std::uint64_t length : {~0ull, 1ull << 63, 4ull}) {
    const Bytes file = one_entry(8);
    refused(Bytes(file).u64(length).raw("abc"), ErrorCode::truncated, file.size());
  }
  const Bytes array = one_entry(9).u32(8).u64(2).string("abc");
  refused(Bytes(array).u64(9).zeros(8), ErrorCode::truncated, array.size());
  Limits limits;
  limits.string_bytes = 3;
  refused(one_entry(8).string("abcd"), ErrorCode::limit, one_entry(8).size(), limits);
}

TEST_CASE("malformed 09: unknown value type") {
  for (const std::uint32_t type : {13u, 255u, 0xffffffffu}) {
    refused(one_entry(type).zeros(16), ErrorCode::unsupported, header_bytes + 9);
    refused(one_entry(9).u32(type).u64(0), ErrorCode::unsupported, one_entry(9).size());
  }
}

TEST_CASE("malformed 10: array larger than the bytes left") {
  constexpr std::uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
  for (const std::uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u, 11u, 12u}) {
    const std::uint64_t at = one_entry(9).u32(type).size();
    refused(one_entry(9).u32(type).u64(4).zeros(4 * bytes[type] - 1), ErrorCode::truncated, at);
    // Counts whose product with the element size wraps to something small.
    refused(one_entry(9).u32(type).u64(1ull << 63).zeros(64), ErrorCode::truncated, at);
    refused(one_entry(9).u32(type).u64((1ull << 61) + 1).zeros(64), ErrorCode::truncated, at);
  }
  Limits limits;
  limits.array_elements = 3;
  refused(one_entry(9).u32(0).u64(4).zeros(4), ErrorCode::limit, one_entry(9).u32(0).size(), limits);
}

TEST_CASE("malformed 11: array of arrays") {
  refused(one_entry(9).u32(9).u64(1).u32(0).u64(0), ErrorCode::unsupported, one_entry(9).size());
}

TEST_CASE("malformed 12: duplicate key") {
  const Bytes first = Bytes::gguf(0, 2).key("k", 0).u8(1);
  refused(Bytes(first).key("k", 0).u8(1), ErrorCode::duplicate, first.size());
  refused(Bytes(first).key("k", 8).string(""), ErrorCode::duplicate, first.size());
}

TEST_CASE("malformed 13: bool neither 0 nor 1") {
  refused(one_entry(7).u8(2), ErrorCode::malformed, one_entry(7).size());
  const Bytes array = one_entry(9).u32(7).u64(2).u8(1);
  refused(Bytes(array).u8(255), ErrorCode::malformed, array.size());
}

TEST_CASE("malformed 14: alignment") {
  const auto aligned = [](std::uint64_t value) {
    return Bytes::gguf(0, 1).key("general.alignment", 10).u64(value);
  };
  for (const std::uint64_t value : {0ull, 3ull, 48ull, ~0ull}) {
    refused(aligned(value), ErrorCode::out_of_range, header_bytes);
  }
  refused(aligned(1ull << 17), ErrorCode::limit, header_bytes);
  refused(aligned(1ull << 63), ErrorCode::limit, header_bytes);
  refused(Bytes::gguf(0, 1).key("general.alignment", 8).string("32"), ErrorCode::wrong_type, header_bytes);
  refused(Bytes::gguf(0, 1).key("general.alignment", 6).put(32.f), ErrorCode::wrong_type, header_bytes);
  refused(Bytes::gguf(0, 1).key("general.alignment", 5).put(-32), ErrorCode::out_of_range, header_bytes);
}

TEST_CASE("malformed 15: no dimension or more than 4") {
  refused(OneTensor{.dims = {}}.file(), ErrorCode::out_of_range, OneTensor::n_dims_at);
  refused(OneTensor{.dims = {1, 1, 1, 1, 1}}.file(), ErrorCode::out_of_range, OneTensor::n_dims_at);
  refused(Bytes::gguf(1, 0).string("t").u32(~0u).zeros(64), ErrorCode::out_of_range, OneTensor::n_dims_at);
}

TEST_CASE("malformed 16: dimension 0 or above 2^40") {
  for (const std::uint64_t dim : {0ull, (1ull << 40) + 1, 1ull << 63, ~0ull}) {
    refused(OneTensor{.dims = {dim}}.file(), ErrorCode::out_of_range, OneTensor::dims_at);
    refused(OneTensor{.dims = {4, dim}}.file(), ErrorCode::out_of_range, OneTensor::dims_at + 8);
  }
}

TEST_CASE("malformed 17: product of dimensions overflows") {
  constexpr std::uint64_t large = 1ull << 40;
  refused(OneTensor{.dims = {large, large}}.file(), ErrorCode::out_of_range, OneTensor::dims_at);
  refused(OneTensor{.dims = {1ull << 32, 1ull << 31}}.file(), ErrorCode::out_of_range, OneTensor::dims_at);
  refused(OneTensor{.dims = {large, large, large, large}}.file(), ErrorCode::out_of_range,
          OneTensor::dims_at);
}

TEST_CASE("malformed 18: bytes overflow") {
  // 2^62 elements of 8 bytes, and 2^62 of 4.
  refused(OneTensor{.dims = {1ull << 31, 1ull << 31}, .type = 28}.file(), ErrorCode::out_of_range,
          OneTensor::dims_at);
  refused(OneTensor{.dims = {1ull << 31, 1ull << 31}}.file(), ErrorCode::out_of_range, OneTensor::dims_at);
  // 2^62 bytes: counted, but past the end.
  const OneTensor huge{.dims = {1ull << 31, 1ull << 31}, .type = 24};
  refused(huge.file(), ErrorCode::truncated, huge.offset_at());
}

TEST_CASE("malformed 19: tensor type unknown or withdrawn") {
  for (const std::uint32_t type : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 62u, 63u, 1000u, 0xffffffffu}) {
    const OneTensor tensor{.dims = {256}, .type = type};
    refused(tensor.file(), ErrorCode::unsupported, tensor.type_at());
  }
}

TEST_CASE("malformed 20: rows that are no whole blocks") {
  refused(OneTensor{.dims = {33}, .type = 8, .data = 68}.file(), ErrorCode::malformed, OneTensor::dims_at);
  // 64 elements in all, but rows of 16.
  refused(OneTensor{.dims = {16, 4}, .type = 8, .data = 68}.file(), ErrorCode::malformed, OneTensor::dims_at);
}

TEST_CASE("malformed 21: unaligned offset") {
  const OneTensor tensor{.offset = 16, .data = 32};
  refused(tensor.file(), ErrorCode::malformed, tensor.offset_at());
}

TEST_CASE("malformed 22: range wraps or ends past the file") {
  for (const std::uint64_t offset : {32ull, 1ull << 63, ~0ull - 31, ~0ull - 63}) {
    const OneTensor tensor{.offset = offset, .data = 47};
    refused(tensor.file(), ErrorCode::truncated, tensor.offset_at());
  }
  const OneTensor short_by_one{.data = 15};
  refused(short_by_one.file(), ErrorCode::truncated, short_by_one.offset_at());
}

TEST_CASE("malformed 23: overlapping tensors") {
  const auto file = [](std::uint64_t a, std::uint64_t b) {
    return Bytes::gguf(2, 0).tensor("a", {16}, 0, a).tensor("b", {16}, 0, b).pad(32).zeros(192);
  };
  constexpr std::uint64_t tensor_bytes = 9 + 4 + 8 + 4 + 8;
  constexpr std::uint64_t a_offset_at = header_bytes + tensor_bytes - 8;
  constexpr std::uint64_t b_offset_at = a_offset_at + tensor_bytes;
  refused(file(0, 0), ErrorCode::malformed, b_offset_at);
  refused(file(0, 32), ErrorCode::malformed, b_offset_at);
  refused(file(32, 0), ErrorCode::malformed, a_offset_at);
}

TEST_CASE("malformed 24: duplicate tensor name") {
  const Bytes first = Bytes::gguf(2, 0).tensor("t", {4}, 0, 0);
  refused(Bytes(first).tensor("t", {4}, 0, 32).pad(32).zeros(64), ErrorCode::duplicate, first.size());
}

TEST_CASE("malformed: tensor name empty, too long, not UTF-8, with NUL") {
  const auto named = [](std::string_view name) {
    return Bytes::gguf(1, 0).tensor(name, {4}, 0, 0).pad(32).zeros(16);
  };
  refused(named(""), ErrorCode::malformed, header_bytes);
  refused(named(std::string(1'025, 'n')), ErrorCode::limit, header_bytes);
  refused(named("\xc0\x80"), ErrorCode::malformed, header_bytes);
  refused(named(std::string_view("\0", 1)), ErrorCode::malformed, header_bytes);
}

TEST_CASE("malformed: array of uint64 beyond int64") {
  const Bytes file = one_entry(9).u32(10).u64(2).u64(1);
  refused(Bytes(file).u64(1ull << 63), ErrorCode::out_of_range, file.size());
}

TEST_CASE("malformed 25: truncation at every byte") {
  const std::string whole = test::tiny_gguf().data();
  CHECK_NOTHROW(parse_gguf(*test::as_source(whole)));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    INFO(n << " of " << whole.size() << " bytes");
    CHECK_THROWS_AS(parse_gguf(*test::as_source(std::string_view(whole).substr(0, n))), Error);
  }
  const test::TempFolder folder;
  for (std::size_t n = 0; n < whole.size(); n += 37) {
    const auto path = folder.write("cut.gguf", std::string_view(whole).substr(0, n));
    for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
      CHECK_THROWS_AS(parse_gguf(*ByteSource::open(path, mode)), Error);
    }
  }
}

TEST_CASE("malformed: every byte of a file set to 00 and to FF") {
  const std::string whole = test::tiny_gguf().data();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char value : {'\x00', '\xff'}) {
      std::string changed = whole;
      changed[i] = value;
      INFO("byte " << i);
      const auto source = test::as_source(changed);
      const std::byte* begin = source->bytes().data();
      const std::byte* end = begin + source->bytes().size();
      try {
        for (const Tensor& tensor : parse_gguf(*source).tensors) {
          CHECK(tensor.bytes.data() >= begin);
          CHECK(tensor.bytes.data() + tensor.bytes.size() <= end);
          CHECK(tensor.bytes.data() == begin + tensor.offset);
        }
      } catch (const Error& error) {
        CHECK(error.source() == "test");
        CHECK(!error.position().empty());
      }
    }
  }
}
