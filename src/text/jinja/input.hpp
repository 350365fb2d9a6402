// JSON as values of a template.
// How messages, tools and variables get in.
#pragma once

#include "src/file/json.hpp"
#include "src/text/jinja/interpreter.hpp"

namespace nibble::inline v0::jinja {

// Strings are marked with `mark`. Errors: out_of_range (an integer beyond 64 bits), at its JSON pointer.
Value to_value(Interpreter& in, const Json& json, char32_t mark);

}  // namespace nibble::inline v0::jinja
