// Arithmetic, equality, order and membership, as Python has them over 64-bit integers.
// See interpreter.hpp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

using Op = Expression::Op;

namespace {

std::string_view symbol(Op op) {
  switch (op) {
    case Op::add: return "+";
    case Op::subtract: return "-";
    case Op::multiply: return "*";
    case Op::divide: return "/";
    case Op::floor: return "//";
    case Op::modulo: return "%";
    case Op::power: return "**";
    default: return "~";
  }
}

// Nothing where 64 bits do not hold it.
std::optional<std::int64_t> power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return std::nullopt;
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return std::nullopt;
  }
  return result;
}

}  // namespace

Value Interpreter::arithmetic(Op op, const Value& a, const Value& b) {
  if (op == Op::join) {
    Text joined = to_string(*this, a);
    append_string(*this, b, joined);
    return text(std::move(joined));
  }
  if (a.is_number() && b.is_number()) {
    if (a.is<double>() || b.is<double>() || op == Op::divide)
      return on_numbers(op, number_of(a), number_of(b));
    return on_integers(op, integer_of(a), integer_of(b));
  }
  if (op == Op::add && ((a.text() && b.text()) || (a.list() && b.list()))) return add(a, b);
  const bool counts = b.is<std::int64_t>() || b.is<bool>();
  if (op == Op::multiply && (a.text() || a.list()) && counts) return repeat(a, integer_of(b));
  if (op == Op::multiply && (b.text() || b.list()) && a.is<std::int64_t>()) return repeat(b, integer_of(a));
  fail(ErrorCode::wrong_type,
       std::string(kind_name(a)) + " " + std::string(symbol(op)) + " " + std::string(kind_name(b)),
       op == Op::add ? "two numbers, two strings or two lists" : "two numbers");
}

Value Interpreter::add(const Value& a, const Value& b) {
  if (const Text* first = a.text()) {
    charge(first->size() + b.text()->size());
    return heap.add(*first + *b.text());
  }
  charge(4 * (a.list()->items.size() + b.list()->items.size()));
  std::vector<Value> items = a.list()->items;
  items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
  return list(std::move(items), a.list()->is_tuple);
}

Value Interpreter::repeat(const Value& a, std::int64_t times) {
  const std::size_t size = a.text() ? a.text()->size() : a.list()->items.size() * 4;
  std::size_t total = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(std::max<std::int64_t>(times, 0)), size, &total)) {
    total = std::numeric_limits<std::size_t>::max() / 2;
  }
  charge(total);
  if (total == 0) times = 0;
  if (const Text* part = a.text()) {
    Text made;
    made.reserve(total);
    for (; times > 0; --times) made += *part;
    return heap.add(std::move(made));
  }
  std::vector<Value> items;
  for (; times > 0; --times) items.insert(items.end(), a.list()->items.begin(), a.list()->items.end());
  return list(std::move(items), a.list()->is_tuple);
}

Value Interpreter::on_integers(Op op, std::int64_t a, std::int64_t b) {
  if (op == Op::power && b < 0) return on_numbers(op, static_cast<double>(a), static_cast<double>(b));
  if ((op == Op::floor || op == Op::modulo) && b == 0)
    fail(ErrorCode::out_of_range, "a division by 0", "any other");
  std::int64_t made = 0;
  bool fits = true;
  switch (op) {
    case Op::add: fits = !__builtin_add_overflow(a, b, &made); break;
    case Op::subtract: fits = !__builtin_sub_overflow(a, b, &made); break;
    case Op::multiply: fits = !__builtin_mul_overflow(a, b, &made); break;
    case Op::floor:
      fits = b != -1 || a != std::numeric_limits<std::int64_t>::min();
      if (fits) made = a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
      break;
    case Op::modulo:
      made = b == -1 ? 0 : a % b;
      if (made != 0 && (made < 0) != (b < 0)) made += b;
      break;
    default: {
      const auto raised = power(a, b);
      fits = raised.has_value();
      made = raised.value_or(0);
    }
  }
  if (!fits) fail(ErrorCode::out_of_range, "an integer too large", "64 bits");
  return Value(made);
}

Value Interpreter::on_numbers(Op op, double a, double b) {
  const bool divides = op == Op::divide || op == Op::floor || op == Op::modulo;
  if (divides && b == 0) fail(ErrorCode::out_of_range, "a division by 0", "any other");
  switch (op) {
    case Op::add: return Value(a + b);
    case Op::subtract: return Value(a - b);
    case Op::multiply: return Value(a * b);
    case Op::divide: return Value(a / b);
    case Op::floor: return Value(std::floor(a / b));
    case Op::modulo: {
      const double rest = std::fmod(a, b);
      return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    default: return Value(std::pow(a, b));
  }
}

bool Interpreter::equal(const Value& a, const Value& b) {
  const Level level(*this);
  if (a.is_number() && b.is_number()) {
    if (a.is<double>() || b.is<double>()) return number_of(a) == number_of(b);
    return integer_of(a) == integer_of(b);
  }
  if (a.text() && b.text()) {
    if (a.text()->size() != b.text()->size()) return false;
    charge(a.text()->size());
    return same(*a.text(), *b.text());
  }
  if (const List* x = a.list(), *y = b.list(); x && y) {
    charge(x->items.size());
    return x->is_tuple == y->is_tuple &&
           std::equal(x->items.begin(), x->items.end(), y->items.begin(), y->items.end(),
                      [&](const Value& p, const Value& q) { return equal(p, q); });
  }
  if (Dict* x = a.dict(), *y = b.dict(); x && y) {
    return x->items.size() == y->items.size() &&
           std::all_of(x->items.begin(), x->items.end(), [&](const auto& p) {
             const Value* other = find(*y, p.first);
             return other && equal(p.second, *other);
           });
  }
  if (const auto* names = a.as<Namespace*>(); names && b.is<Namespace*>())
    return *names == *b.as<Namespace*>();
  return (!a.is_defined() && !b.is_defined()) || (a.is<None>() && b.is<None>());
}

bool Interpreter::less(const Value& a, const Value& b) {
  const Level level(*this);
  if (a.is_number() && b.is_number()) {
    if (a.is<double>() || b.is<double>()) return number_of(a) < number_of(b);
    return integer_of(a) < integer_of(b);
  }
  if (a.text() && b.text()) {
    charge(std::min(a.text()->size(), b.text()->size()));
    return jinja::less(*a.text(), *b.text());
  }
  if (a.list() && b.list()) {
    const auto &x = a.list()->items, &y = b.list()->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      charge();
      if (!equal(x[i], y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  fail(ErrorCode::wrong_type, std::string(kind_name(a)) + " < " + std::string(kind_name(b)),
       "two numbers, two strings or two lists");
}

bool Interpreter::contains(const Value& container, const Value& value) {
  if (!container.is_defined()) return false;
  if (const Text* text = container.text()) {
    if (!value.text()) {
      fail(ErrorCode::wrong_type, std::string(kind_name(value)) + " in a string", "a string in a string");
    }
    charge(text->size() * std::max<std::size_t>(value.text()->size(), 1));
    return position_of(*text, *value.text()) != Text::npos;
  }
  if (Dict* const dict = container.dict()) return find(*dict, value) != nullptr;
  if (const List* list = container.list()) {
    return std::any_of(list->items.begin(), list->items.end(), [&](const Value& item) {
      charge();
      return equal(item, value);
    });
  }
  fail(ErrorCode::wrong_type, "in " + std::string(kind_name(container)), "a string, a list or a dictionary");
}

std::vector<Value> Interpreter::items_of(const Value& value) {
  std::vector<Value> items;
  if (const List* list = value.list()) {
    charge(list->items.size() * 4);
    items = list->items;
  } else if (const Dict* dict = value.dict()) {
    charge(dict->items.size() * 4);
    for (const auto& [key, held] : dict->items) items.push_back(key);
  } else if (const Text* characters = value.text()) {
    charge(characters->size() * 16);
    for (const char32_t c : *characters) items.push_back(heap.add(Text(1, c)));
  } else if (value.is_defined()) {
    fail(ErrorCode::wrong_type, "a loop over " + std::string(kind_name(value)),
         "a list, a dictionary or a string");
  }
  return items;
}

}  // namespace nibble::inline v0::jinja
