// Error: its message, its parts, and what translate_errors makes of other exceptions.
#include "nibble/core/error.hpp"

#include "support/catch.hpp"

using namespace nibble;

TEST_CASE("an error says everything in one line") {
  const Error error({.code = ErrorCode::truncated,
                     .source = "a.gguf",
                     .position = at_byte(24),
                     .field = "n_kv",
                     .found = "9",
                     .allowed = "at most 1"});
  CHECK(std::string(error.what()) == "a.gguf: truncated at byte 24: n_kv: found 9, allowed: at most 1");
  CHECK(error.code() == ErrorCode::truncated);
  CHECK(error.source() == "a.gguf");
  CHECK(error.position() == "byte 24");
  CHECK(error.field() == "n_kv");
  CHECK(error.found() == "9");
  CHECK(error.allowed() == "at most 1");
}

TEST_CASE("empty parts are left out of the line") {
  CHECK(std::string(Error({.code = ErrorCode::cancelled}).what()) == "cancelled");
  CHECK(std::string(Error({.code = ErrorCode::io, .source = "f", .found = "x"}).what()) == "f: io: found x");
}

TEST_CASE("control characters stay out of the line") {
  const std::string field = "a\n\x1b[2J\x7f\xc3\xa9\xc2\x9b\xc2\xa0";  // U+009B, U+00A0
  const Error error({.code = ErrorCode::duplicate, .field = field});
  CHECK(std::string(error.what()) == "duplicate: a??[2J?\xc3\xa9?\xc2\xa0");
  CHECK(error.field() == field);
}

TEST_CASE("positions") {
  CHECK(at_byte(~0ull) == "byte 18446744073709551615");
  CHECK(at_line(3, 14) == "line 3, column 14");
}

TEST_CASE("out of memory needs no memory to be said") {
  const Error error = Error::out_of_memory();
  CHECK(error.code() == ErrorCode::out_of_memory);
  CHECK(std::string(error.what()) == "out_of_memory");
  CHECK(error.position().empty());
  const Error copy = error;
  CHECK(copy.code() == ErrorCode::out_of_memory);
}

TEST_CASE("other exceptions become errors") {
  const auto code_of = [](auto call) {
    try {
      translate_errors(call);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::cancelled;
  };
  CHECK(code_of([] { throw std::bad_alloc(); }) == ErrorCode::out_of_memory);
  CHECK(code_of([] { throw std::length_error("x"); }) == ErrorCode::out_of_memory);
  CHECK(code_of([] { throw std::runtime_error("x"); }) == ErrorCode::internal);
  CHECK(code_of([] { throw Error({.code = ErrorCode::limit}); }) == ErrorCode::limit);
  CHECK(translate_errors([] { return 7; }) == 7);
}

TEST_CASE("every code has its own name") {
  std::string names;
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
    const auto name = to_string(static_cast<ErrorCode>(i));
    CHECK(name != "unknown");
    const std::string word = std::string(" ").append(name) + " ";
    CHECK(names.find(word) == std::string::npos);
    names += word;
  }
}
