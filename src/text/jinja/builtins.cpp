// Looking builtins up, and reading their parameters.
// See builtins.hpp; the tables are in the files it names.
#include "src/text/jinja/builtins.hpp"

#include <algorithm>

#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

const Builtin* find_in(std::span<const Builtin> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Builtin::name);
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

const Builtin* find_filter(std::string_view name) {
  for (const auto& table : {text_filters(), sequence_filters(), value_filters()}) {
    if (const Builtin* found = find_in(table, name)) return found;
  }
  return nullptr;
}
const Builtin* find_test(std::string_view name) { return find_in(tests(), name); }
const Builtin* find_function(std::string_view name) { return find_in(functions(), name); }
const Builtin* find_text_method(std::string_view name) { return find_in(text_methods(), name); }
const Builtin* find_list_method(std::string_view name) { return find_in(list_methods(), name); }
const Builtin* find_dict_method(std::string_view name) { return find_in(dict_methods(), name); }

std::int64_t integer(Call& call, std::size_t i, std::int64_t absent) {
  const Value& value = call.values[i];
  if (!value.is_defined()) return absent;
  if (!value.is<std::int64_t>() && !value.is<bool>()) {
    call.in.fail(ErrorCode::wrong_type, std::string(kind_name(value)) + " as an argument", "an integer");
  }
  return integer_of(value);
}

bool flag(Call& call, std::size_t i, bool absent) {
  return call.values[i].is_defined() ? is_true(call.values[i]) : absent;
}

Text subject(Call& call) { return to_string(call.in, call.self); }

Text characters(Call& call, std::size_t i, TextView absent) {
  const Value& value = call.values[i];
  if (!value.is_defined()) return Text(absent);
  if (!value.text()) {
    call.in.fail(ErrorCode::wrong_type, std::string(kind_name(value)) + " as an argument", "a string");
  }
  call.in.charge(value.text()->size());
  return *value.text();
}

}  // namespace nibble::inline v0::jinja
