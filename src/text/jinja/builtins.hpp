// Everything that templates can call by name: filters, tests, methods and functions, as tables.
// The parser looks filters and tests up; the interpreter looks up the rest and calls them all.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "src/text/jinja/value.hpp"

namespace nibble::inline v0::jinja {

class Interpreter;

using NamedValue = std::pair<std::string_view, Value>;

// What a call passes, in the order written.
struct Arguments {
  std::vector<Value> listed;
  std::vector<NamedValue> named;
};

// One call of a builtin.
struct Call {
  Interpreter& in;
  Value self;                   // what is filtered or tested; the object of a method
  std::array<Value, 4> values;  // by parameter; undefined where not passed
  const Arguments& given;       // the same as passed, for those that take any number
};

struct Builtin {
  std::string_view name;
  Value (*run)(Call& call);
  std::string_view parameters = {};  // their names, one space between; "*": any arguments
};

// The tables, by file.
std::span<const Builtin> text_filters();      // text_builtins.cpp
std::span<const Builtin> sequence_filters();  // sequence_builtins.cpp
std::span<const Builtin> value_filters();     // value_builtins.cpp
std::span<const Builtin> tests();             // tests.cpp
std::span<const Builtin> functions();         // functions.cpp
std::span<const Builtin> text_methods();
std::span<const Builtin> list_methods();
std::span<const Builtin> dict_methods();

// Null where there is none of this name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_function(std::string_view name);
const Builtin* find_text_method(std::string_view name);
const Builtin* find_list_method(std::string_view name);
const Builtin* find_dict_method(std::string_view name);

// Parameters of a call; `absent` where they are not passed. Errors: wrong_type.
std::int64_t integer(Call& call, std::size_t i, std::int64_t absent);
bool flag(Call& call, std::size_t i, bool absent);
// The subject as characters, whatever it is; of a parameter, which must be a string.
Text subject(Call& call);
Text characters(Call& call, std::size_t i, TextView absent);

}  // namespace nibble::inline v0::jinja
