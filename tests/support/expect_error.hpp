// Checks that a call fails with exactly one code at exactly one place.
// Used by the malformed-input tests.
#pragma once

#include <string>
#include <string_view>

#include "nibble/core/error.hpp"
#include "support/catch.hpp"

namespace nibble::test {

// Calls; returns the Error for further checks.
template <class Call>
Error expect_error(Call&& call, ErrorCode code, std::string_view position) {
  try {
    call();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(to_string(error.code()) == to_string(code));
    CHECK(error.position() == position);
    return error;
  }
  FAIL("no error; expected " << to_string(code) << " at " << position);
  return Error::out_of_memory();
}

}  // namespace nibble::test
