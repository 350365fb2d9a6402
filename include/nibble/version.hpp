// The library's version (semantic versioning); the build reads it from here.
// Beside the flow: any stage may name it.
#pragma once

#include <string_view>

namespace nibble::inline v0 {

inline constexpr std::string_view version = "0.1.0";

}  // namespace nibble::inline v0
