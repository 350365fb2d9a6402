// The Error that a call throws, for checking its code and place.
// For every test of a failure.
#pragma once

#include <utility>

#include "nibble/core/error.hpp"

namespace nibble::test {

// Where nothing is thrown: ErrorCode::internal, "nothing was thrown".
template <class Call>
Error thrown(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& e) {
    return e;
  }
  return Error({.code = ErrorCode::internal, .found = "nothing was thrown"});
}

}  // namespace nibble::test
