// The tests behind `is`.
// One of the tables of builtins.hpp.
#include "src/text/jinja/interpreter.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

using Op = Expression::Op;

bool is_sequence(const Value& v) { return v.text() || v.list() || v.dict() || !v.is_defined(); }

template <bool (*holds)(const Value&)>
Value test(Call& call) {
  return Value(holds(call.self));
}

template <Op op>
Value compares(Call& call) {
  return Value(call.in.compare(op, call.self, call.values[0]));
}

// One object, or one of the values that there is one of.
Value same_as(Call& call) {
  const Value &a = call.self, &b = call.values[0];
  if (a.is<bool>() != b.is<bool>() || a.is<double>() != b.is<double>()) return Value(false);
  if (a.list() || b.list()) return Value(a.list() == b.list());
  if (a.dict() || b.dict()) return Value(a.dict() == b.dict());
  return Value(call.in.equal(a, b));
}

std::int64_t rest(Call& call, std::int64_t by) {
  const Value left = call.in.arithmetic(Op::modulo, call.self, Value(by));
  return left.is<double>() ? (number_of(left) == 0 ? 0 : 1) : integer_of(left);
}
Value even(Call& call) { return Value(rest(call, 2) == 0); }
Value odd(Call& call) { return Value(rest(call, 2) == 1); }
Value divisible(Call& call) { return Value(rest(call, integer(call, 0, 0)) == 0); }

Value cased(Call& call, const char* method) {
  const Value text = call.in.text(subject(call));
  return call.in.call(*find_text_method(method), text, {});
}
Value upper(Call& call) { return cased(call, "isupper"); }
Value lower(Call& call) { return cased(call, "islower"); }

Value is_filter(Call& call) { return Value(find_filter(to_utf8(subject(call))) != nullptr); }
Value is_test(Call& call) { return Value(find_test(to_utf8(subject(call))) != nullptr); }

constexpr Builtin table[] = {{"defined", test<[](const Value& v) { return v.is_defined(); }>},
                             {"undefined", test<[](const Value& v) { return !v.is_defined(); }>},
                             {"none", test<[](const Value& v) { return v.is<None>(); }>},
                             {"string", test<[](const Value& v) { return v.text() != nullptr; }>},
                             {"mapping", test<[](const Value& v) { return v.dict() != nullptr; }>},
                             {"iterable", test<is_sequence>},
                             {"sequence", test<is_sequence>},
                             {"number", test<[](const Value& v) { return v.is_number(); }>},
                             {"integer", test<[](const Value& v) { return v.is<std::int64_t>(); }>},
                             {"float", test<[](const Value& v) { return v.is<double>(); }>},
                             {"boolean", test<[](const Value& v) { return v.is<bool>(); }>},
                             {"true", test<[](const Value& v) { return v.is<bool>() && is_true(v); }>},
                             {"false", test<[](const Value& v) { return v.is<bool>() && !is_true(v); }>},
                             {"callable", test<[](const Value& v) { return v.is<const Function*>(); }>},
                             {"escaped", test<[](const Value&) { return false; }>},
                             {"sameas", same_as, "other"},
                             {"equalto", compares<Op::equal>, "other"},
                             {"eq", compares<Op::equal>, "other"},
                             {"ne", compares<Op::unequal>, "other"},
                             {"lt", compares<Op::less>, "other"},
                             {"lessthan", compares<Op::less>, "other"},
                             {"le", compares<Op::less_equal>, "other"},
                             {"gt", compares<Op::greater>, "other"},
                             {"greaterthan", compares<Op::greater>, "other"},
                             {"ge", compares<Op::greater_equal>, "other"},
                             {"==", compares<Op::equal>, "other"},
                             {"!=", compares<Op::unequal>, "other"},
                             {"<", compares<Op::less>, "other"},
                             {"<=", compares<Op::less_equal>, "other"},
                             {">", compares<Op::greater>, "other"},
                             {">=", compares<Op::greater_equal>, "other"},
                             {"in", compares<Op::in>, "seq"},
                             {"even", even},
                             {"odd", odd},
                             {"divisibleby", divisible, "num"},
                             {"upper", upper},
                             {"lower", lower},
                             {"filter", is_filter},
                             {"test", is_test}};

}  // namespace

std::span<const Builtin> tests() { return table; }

}  // namespace nibble::inline v0::jinja
