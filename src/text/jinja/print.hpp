// Values as text: as a template prints them, as Python writes them, as JSON.
// Used by outputs, `~`, and the filters string and tojson.
#pragma once

#include <optional>
#include <string>

#include "src/text/jinja/interpreter.hpp"

namespace nibble::inline v0::jinja {

// Python's str().
void append_string(Interpreter& in, const Value& value, Text& out);
Text to_string(Interpreter& in, const Value& value);

struct JsonStyle {
  std::optional<std::size_t> indent;  // spaces a level; else all on one line
  Text item_separator, key_separator;
  bool ascii = false;
  bool sorted = false;  // by key
};

// Python's json.dumps. Errors: wrong_type (a function, something undefined).
void append_json(Interpreter& in, const Value& value, const JsonStyle& style, std::size_t depth, Text& out);

// Python's repr of a float: "0.1", "1e+16", "inf".
std::string number_text(double number);

}  // namespace nibble::inline v0::jinja
