// Malformed safetensors files, numbered as in docs/file.md: exactly one code at exactly one place.
#include "nibble/file/safetensors.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

void refused(const Bytes& file, ErrorCode code, std::string_view position, const Limits& limits = {}) {
  test::expect_error([&] { parse_safetensors(*test::as_source(file.data()), limits); }, code, position);
}
void refused(std::string_view header, std::size_t data, ErrorCode code, std::string_view position) {
  refused(Bytes::safetensors(header, data), code, position);
}

// One F32 tensor "t" of two elements with these offsets as JSON.
std::string with_offsets(std::string_view offsets) {
  return R"({"t":{"dtype":"F32","shape":[2],"data_offsets":)" + std::string(offsets) + "}}";
}

std::string entry(std::string_view name, std::uint64_t begin, std::uint64_t end) {
  return std::string("\"").append(name) + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
         R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

}  // namespace

TEST_CASE("malformed 40: header length past the file or above its cap") {
  refused(Bytes(), ErrorCode::truncated, "byte 0");
  refused(Bytes().u32(2), ErrorCode::truncated, "byte 0");
  refused(Bytes().u64(3).raw("{}"), ErrorCode::truncated, "byte 0");
  refused(Bytes().u64(100'000'000).raw("{}"), ErrorCode::truncated, "byte 0");
  refused(Bytes().u64(100'000'001).raw("{}"), ErrorCode::limit, "byte 0");
  refused(Bytes().u64(~0ull).raw("{}"), ErrorCode::limit, "byte 0");
}

TEST_CASE("malformed 41: header that is not UTF-8 or not an object") {
  refused("", 0, ErrorCode::malformed, "byte 8");
  refused("[]", 0, ErrorCode::malformed, "byte 8");
  refused(" {}", 0, ErrorCode::malformed, "byte 8");
  refused("\xef\xbb\xbf{}", 0, ErrorCode::malformed, "byte 8");
  refused("{\"\xff\":1}", 0, ErrorCode::malformed, "byte 10");
  refused("{\"a\xc3\":1}", 0, ErrorCode::malformed, "byte 12");
  refused("{", 0, ErrorCode::malformed, "byte 9");
  refused("{}}", 0, ErrorCode::malformed, "byte 10");
  refused(std::string_view("{}\0", 3), 0, ErrorCode::malformed, "byte 10");
  refused("{\"a\":tru}", 0, ErrorCode::malformed, "byte 16");
}

TEST_CASE("malformed 42: duplicate keys") {
  refused(std::string("{") + entry("a", 0, 1) + "," + entry("b", 1, 2) + "," + entry("a", 2, 3) + "}", 3,
          ErrorCode::duplicate, "/a");
  refused(R"({"t":{"dtype":"U8","shape":[1],"dtype":"U8","data_offsets":[0,1]}})", 1, ErrorCode::duplicate,
          "/t/dtype");
  refused(R"({"__metadata__":{"x":"1","x":"2"}})", 0, ErrorCode::duplicate, "/__metadata__/x");
  refused(R"({"a\u0062":1,"ab":2})", 0, ErrorCode::duplicate, "/ab");
}

TEST_CASE("malformed 43: offsets reversed, negative, fractional, beyond double") {
  refused(with_offsets("[8,0]"), 8, ErrorCode::malformed, "/t/data_offsets");
  refused(with_offsets("[-8,0]"), 8, ErrorCode::out_of_range, "/t/data_offsets/0");
  refused(with_offsets("[0,-8]"), 8, ErrorCode::out_of_range, "/t/data_offsets/1");
  refused(with_offsets("[0,8.5]"), 8, ErrorCode::wrong_type, "/t/data_offsets/1");
  refused(with_offsets("[0,8.0]"), 8, ErrorCode::wrong_type, "/t/data_offsets/1");
  refused(with_offsets("[0,18446744073709551616]"), 8, ErrorCode::wrong_type, "/t/data_offsets/1");
  refused(with_offsets("[0,18446744073709551615]"), 8, ErrorCode::truncated, "/t/data_offsets");
  const std::string before = R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,)";
  refused(before + "1e400]}}", 8, ErrorCode::malformed, at_byte(8 + before.size() + 4));
}

TEST_CASE("malformed 44: hole, overlap, trailing bytes") {
  refused(std::string("{") + entry("a", 1, 2) + "}", 2, ErrorCode::malformed, "/a/data_offsets");
  refused(std::string("{") + entry("a", 0, 2) + "," + entry("b", 3, 4) + "}", 4, ErrorCode::malformed,
          "/b/data_offsets");
  refused(std::string("{") + entry("b", 1, 4) + "," + entry("a", 0, 2) + "}", 4, ErrorCode::malformed,
          "/b/data_offsets");
  const std::string header = std::string("{") + entry("a", 0, 2) + "}";
  refused(header, 3, ErrorCode::malformed, at_byte(8 + header.size() + 2));
  refused("{}", 1, ErrorCode::malformed, "byte 10");
  refused(header, 1, ErrorCode::truncated, "/a/data_offsets");
}

TEST_CASE("malformed 45: range that is not shape times dtype") {
  refused(with_offsets("[0,4]"), 4, ErrorCode::shape_mismatch, "/t/data_offsets");
  refused(with_offsets("[0,16]"), 16, ErrorCode::shape_mismatch, "/t/data_offsets");
  const auto shaped = [](std::string_view dtype, std::string_view shape) {
    return R"({"t":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) +
           R"(,"data_offsets":[0,8]}})";
  };
  refused(shaped("F32", "[4294967296,4294967296]"), 8, ErrorCode::out_of_range, "/t/shape");
  refused(shaped("F64", "[1099511627776,1099511627776]"), 8, ErrorCode::out_of_range, "/t/shape");
  refused(shaped("F32", "[1099511627777]"), 8, ErrorCode::limit, "/t/shape/0");
  refused(shaped("F32", "[-2]"), 8, ErrorCode::out_of_range, "/t/shape/0");
  refused(shaped("F32", "[2.0]"), 8, ErrorCode::wrong_type, "/t/shape/0");
  refused(shaped("F32", "2"), 8, ErrorCode::wrong_type, "/t/shape");
  refused(shaped("F32", "[1,1,1,1,2]"), 8, ErrorCode::unsupported, "/t/shape");
  refused(shaped("F4", "[15]"), 8, ErrorCode::malformed, "/t/shape");
}

TEST_CASE("malformed 46: unknown dtype") {
  refused(R"({"t":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8, ErrorCode::unsupported, "/t/dtype");
  refused(R"({"t":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}})", 8, ErrorCode::unsupported, "/t/dtype");
  refused(R"({"t":{"dtype":3,"shape":[2],"data_offsets":[0,8]}})", 8, ErrorCode::wrong_type, "/t/dtype");
}

TEST_CASE("malformed 47: JSON deeper than its cap") {
  const std::string header = std::string("{\"t\":").append(128, '[');
  refused(header, 0, ErrorCode::limit, at_byte(8 + 5 + 127));
}

TEST_CASE("malformed 48: more tensors than allowed") {
  Limits limits;
  limits.tensors = 2;
  const std::string two = std::string("{") + entry("a", 0, 1) + "," + entry("b", 1, 2);
  CHECK(parse_safetensors(*test::as_source(Bytes::safetensors(two + "}", 2).data()), limits).size() == 2);
  refused(Bytes::safetensors(two + "," + entry("c", 2, 3) + "}", 3), ErrorCode::limit, "/c", limits);
}

TEST_CASE("malformed: entries with parts missing or of another type") {
  refused(R"({"t":{"shape":[2],"data_offsets":[0,8]}})", 8, ErrorCode::missing, "/t");
  refused(R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, ErrorCode::missing, "/t");
  refused(R"({"t":{"dtype":"F32","shape":[2]}})", 8, ErrorCode::missing, "/t");
  refused(R"({"a~/b":3})", 0, ErrorCode::wrong_type, "/a~0~1b");
  refused(with_offsets("[0]"), 8, ErrorCode::wrong_type, "/t/data_offsets");
  refused(with_offsets("[0,8,8]"), 8, ErrorCode::wrong_type, "/t/data_offsets");
  refused(R"({"__metadata__":{"x":1}})", 0, ErrorCode::wrong_type, "/__metadata__/x");
  refused(R"({"__metadata__":[]})", 0, ErrorCode::wrong_type, "/__metadata__");
  refused(std::string("{") + entry("", 0, 1) + "}", 1, ErrorCode::malformed, "/");
  refused(std::string("{") + entry(std::string(1'025, 'n'), 0, 1) + "}", 1, ErrorCode::limit,
          std::string("/").append(1'025, 'n'));
}

TEST_CASE("malformed: safetensors cut at every byte") {
  const std::string whole = test::tiny_safetensors().data();
  CHECK(parse_safetensors(*test::as_source(whole)).size() == 2);
  const test::TempFolder folder;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    INFO(n << " of " << whole.size() << " bytes");
    const std::string_view cut = std::string_view(whole).substr(0, n);
    CHECK_THROWS_AS(parse_safetensors(*test::as_source(cut)), Error);
    if (n % 17 != 0) continue;
    const auto path = folder.write("cut.safetensors", cut);
    for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
      CHECK_THROWS_AS(parse_safetensors(*ByteSource::open(path, mode)), Error);
    }
  }
}

TEST_CASE("malformed: every byte of a safetensors file set to 00 and to FF") {
  const std::string whole = test::tiny_safetensors().data();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char value : {'\x00', '\xff'}) {
      std::string changed = whole;
      changed[i] = value;
      INFO("byte " << i);
      const auto source = test::as_source(changed);
      const std::byte* begin = source->bytes().data();
      try {
        for (const Tensor& tensor : parse_safetensors(*source)) {
          CHECK(tensor.bytes.data() == begin + tensor.offset);
          CHECK(tensor.bytes.data() + tensor.bytes.size() <= begin + source->bytes().size());
        }
        // Only data may change unnoticed.
        CHECK((changed == whole || i >= 8 + test::tiny_safetensors_header.size()));
      } catch (const Error& error) {
        CHECK(error.source() == "test");
        CHECK(!error.position().empty());
      }
    }
  }
}
