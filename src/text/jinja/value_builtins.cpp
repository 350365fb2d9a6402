// Filters that take any value: default, tojson, string, and those that make numbers.
// One of the tables of builtins.hpp.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "src/text/jinja/input.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

Value use_default(Call& call) {
  const bool falls_back = flag(call, 1, false) ? !is_true(call.self) : !call.self.is_defined();
  if (!falls_back) return call.self;
  return call.values[0].is_defined() ? call.values[0] : call.in.text({});
}

Value to_text_value(Call& call) { return call.self.text() ? call.self : call.in.text(subject(call)); }

// As transformers defines it over json.dumps.
Value to_json(Call& call) {
  const Value &indent = call.values[1], &separators = call.values[2];
  JsonStyle style = {.indent = {},
                     .item_separator = U", ",
                     .key_separator = U": ",
                     .ascii = flag(call, 0, false),
                     .sorted = flag(call, 3, false)};
  if (indent.is_defined() && !indent.is<None>()) {
    style.indent = static_cast<std::size_t>(std::clamp<std::int64_t>(integer(call, 1, 0), 0, 1 << 30));
    style.item_separator = U",";
  }
  if (separators.is_defined() && !separators.is<None>()) {
    const List* pair = separators.list();
    if (!pair || pair->items.size() != 2 || !pair->items[0].text() || !pair->items[1].text()) {
      call.in.fail(ErrorCode::wrong_type, "separators that are not two strings", "two strings");
    }
    style.item_separator = *pair->items[0].text();
    style.key_separator = *pair->items[1].text();
  }
  Text made;
  append_json(call.in, call.self, style, 0, made);
  return call.in.text(std::move(made));
}

Value from_json(Call& call) {
  const std::string utf8 = to_utf8(subject(call));
  call.in.charge(utf8.size());
  try {
    return to_value(call.in, parse_json(utf8, "from_json", call.in.limits()).root(), from_input);
  } catch (const Error& error) {
    call.in.fail(error.code(), std::string(error.found()), std::string(error.allowed()));
  }
}

// The number that the whole text is, white space around it left out.
template <class T>
std::optional<T> parsed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\n\r+"), end = text.find_last_not_of(" \t\n\r");
  if (begin == text.npos) return std::nullopt;
  T value{};
  const auto read = std::from_chars(text.data() + begin, text.data() + end + 1, value);
  return read.ec == std::errc() && read.ptr == text.data() + end + 1 ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> truncated(double number) {
  if (!(std::abs(number) < 0x1p63)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Value to_integer(Call& call) {
  std::optional<std::int64_t> made;
  if (call.self.is<double>()) {
    made = truncated(number_of(call.self));
  } else if (call.self.is_number()) {
    made = integer_of(call.self);
  } else if (call.self.text()) {
    const std::string text = to_utf8(subject(call));
    made = parsed<std::int64_t>(text);
    if (const auto number = parsed<double>(text); !made && number) made = truncated(*number);
  }
  if (made) return Value(*made);
  return call.values[0].is_defined() ? call.values[0] : Value(std::int64_t{0});
}

Value to_number(Call& call) {
  std::optional<double> made;
  if (call.self.is_number()) made = number_of(call.self);
  if (call.self.text()) made = parsed<double>(to_utf8(subject(call)));
  if (made) return Value(*made);
  return call.values[0].is_defined() ? call.values[0] : Value(0.0);
}

void demand_number(Call& call) {
  if (!call.self.is_number())
    call.in.fail(ErrorCode::wrong_type, std::string(kind_name(call.self)), "a number");
}

Value absolute(Call& call) {
  demand_number(call);
  if (call.self.is<double>()) return Value(std::abs(number_of(call.self)));
  const std::int64_t value = integer_of(call.self);
  if (value == std::numeric_limits<std::int64_t>::min()) {
    call.in.fail(ErrorCode::out_of_range, "an integer too large", "64 bits");
  }
  return Value(value < 0 ? -value : value);
}

Value round(Call& call) {
  demand_number(call);
  const std::int64_t digits = std::clamp<std::int64_t>(integer(call, 0, 0), -300, 300);
  const std::string method = to_utf8(characters(call, 1, U"common"));
  const double scale = std::pow(10.0, static_cast<double>(digits)), scaled = number_of(call.self) * scale;
  if (!std::isfinite(scaled)) return Value(number_of(call.self));
  const double made = method == "ceil"    ? std::ceil(scaled)
                      : method == "floor" ? std::floor(scaled)
                                          : std::nearbyint(scaled);  // to even, as Python does
  return Value(made / scale);
}

Value sum(Call& call) {
  Value total = call.values[1].is_defined() ? call.values[1] : Value(std::int64_t{0});
  for (const Value& item : call.in.items_of(call.self)) {
    const bool whole = !call.values[0].is_defined() || call.values[0].is<None>();
    total = call.in.arithmetic(Expression::Op::add, total, whole ? item : call.in.item(item, call.values[0]));
  }
  return total;
}

constexpr Builtin filters[] = {{"default", use_default, "default_value boolean"},
                               {"d", use_default, "default_value boolean"},
                               {"string", to_text_value},
                               {"safe", to_text_value},
                               {"tojson", to_json, "ensure_ascii indent separators sort_keys"},
                               {"from_json", from_json},
                               {"int", to_integer, "default base"},
                               {"float", to_number, "default"},
                               {"abs", absolute},
                               {"round", round, "precision method"},
                               {"sum", sum, "attribute start"}};

}  // namespace

std::span<const Builtin> value_filters() { return filters; }

}  // namespace nibble::inline v0::jinja
