# Writes the header HEADER with the commit that SOURCES are at, where it says something else so far.
execute_process(COMMAND git describe --always --dirty --exclude * WORKING_DIRECTORY ${SOURCES}
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")
endif()
file(CONFIGURE OUTPUT ${HEADER} @ONLY CONTENT [[
// The commit this program was built from; empty where that is not known.
// Written by cmake/commit.cmake.
#pragma once

#include <string_view>

namespace cli {

inline constexpr std::string_view commit = "@commit@";

}  // namespace cli
]])
