// The interpreter's expressions: names, attributes, items, slices, calls, filters, comparisons.
// See interpreter.hpp; operators.cpp has the arithmetic.
#include <algorithm>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/interpreter.hpp"

namespace nibble::inline v0::jinja {

using Kind = Expression::Kind;
using Op = Expression::Op;

// Functions that call each other in circles keep their frames small: what a template nests is theirs.
Value Interpreter::evaluate(const Expression& e) {
  if (e.kind == Kind::constant) return e.constant;
  const Level level(*this);
  at_ = e.offset;
  charge();
  switch (e.kind) {
    case Kind::name: return resolve(e.name);
    case Kind::list:
    case Kind::tuple: return written_list(e);
    case Kind::dict: return written_dict(e);
    case Kind::slice: return slice(e);
    case Kind::call: return call_expression(e);
    case Kind::filter:
    case Kind::test: return apply(e);
    case Kind::both:
    case Kind::either:
    case Kind::conditional: return choice(e);
    case Kind::compare: return comparison(e);
    default: return operation(e);
  }
}

Value Interpreter::choice(const Expression& e) {
  const bool is_conditional = e.kind == Kind::conditional;
  const Value first = evaluate(*e.parts[is_conditional ? 1 : 0]);
  const bool holds = is_true(first);
  if (!is_conditional) return holds == (e.kind == Kind::both) ? evaluate(*e.parts[1]) : first;
  const auto& chosen = e.parts[holds ? 0 : 2];
  return chosen ? evaluate(*chosen) : Value();
}

Value Interpreter::operation(const Expression& e) {
  const Value left = evaluate(*e.parts[0]), right = e.parts.size() > 1 ? evaluate(*e.parts[1]) : Value();
  at_ = e.offset;
  switch (e.kind) {
    case Kind::attribute: return attribute(left, template_.names[e.name], template_.name_texts[e.name]);
    case Kind::item: return item(left, right);
    case Kind::negate: return arithmetic(Op::subtract, Value(std::int64_t{0}), left);
    case Kind::keep: return arithmetic(Op::add, Value(std::int64_t{0}), left);
    case Kind::invert: return Value(!is_true(left));
    default: return arithmetic(e.op, left, right);
  }
}

Value Interpreter::written_list(const Expression& e) {
  std::vector<Value> items;
  for (const auto& part : e.parts) items.push_back(evaluate(*part));
  return list(std::move(items), e.kind == Kind::tuple);
}

Value Interpreter::written_dict(const Expression& e) {
  Dict made;
  for (std::size_t i = 0; i < e.parts.size(); i += 2) {
    const Value key = evaluate(*e.parts[i]), value = evaluate(*e.parts[i + 1]);
    at_ = e.offset;
    if (Value* const there = find(made, key)) {
      *there = value;
    } else {
      made.items.emplace_back(key, value);
    }
  }
  return dict(std::move(made));
}

Value Interpreter::resolve(NameId name) {
  for (Scope* scope = scope_; scope; scope = scope->outer) {
    charge(scope->names.size());
    for (const auto& [id, value] : scope->names) {
      if (id == name) return value;
    }
  }
  const Builtin* builtin = find_function(template_.name_texts[name]);
  if (!builtin || (builtin->name == "strftime_now" && !now_)) return {};
  return function({.builtin = builtin, .self = {}, .macro = nullptr, .first_parameter = 0, .scope = nullptr});
}

Value Interpreter::comparison(const Expression& e) {
  Value left = evaluate(*e.parts[0]);
  for (std::size_t i = 0; i < e.words.size(); ++i) {
    const Value right = evaluate(*e.parts[i + 1]);
    at_ = e.offset;
    if (!compare(static_cast<Op>(e.words[i]), left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

bool Interpreter::compare(Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::equal: return equal(a, b);
    case Op::unequal: return !equal(a, b);
    case Op::less: return less(a, b);
    case Op::greater: return less(b, a);
    case Op::less_equal: return less(a, b) || equal(a, b);
    case Op::greater_equal: return less(b, a) || equal(a, b);
    case Op::in: return contains(b, a);
    default: return !contains(b, a);
  }
}

Arguments Interpreter::arguments(const Expression& call, std::size_t first) {
  Arguments made;
  const std::size_t n_listed = call.parts.size() - call.words.size();
  for (std::size_t i = first; i < n_listed; ++i) made.listed.push_back(evaluate(*call.parts[i]));
  for (std::size_t i = 0; i < call.words.size(); ++i) {
    made.named.emplace_back(template_.name_texts[call.words[i]], evaluate(*call.parts[n_listed + i]));
  }
  return made;
}

// A filter, whose subject is what a block printed where the tree has none, or a test.
Value Interpreter::apply(const Expression& e) {
  const Value subject = e.parts[0] ? evaluate(*e.parts[0]) : block_;
  const Arguments passed = arguments(e, 1);
  at_ = e.offset;
  return call(*e.builtin, subject, passed);
}

Value Interpreter::call_expression(const Expression& e, const Value* caller) {
  const Value callee = evaluate(*e.parts[0]);
  Arguments passed = arguments(e, 1);
  if (caller) passed.named.emplace_back("caller", *caller);
  at_ = e.offset;
  const auto* function = callee.as<const Function*>();
  if (!function) fail_call(*e.parts[0], callee);
  if ((*function)->macro) return call_macro(**function, passed);
  return call(*(*function)->builtin, (*function)->self, passed);
}

void Interpreter::fail_call(const Expression& named, const Value& callee) const {
  const bool has_name = named.kind == Kind::name || named.kind == Kind::attribute;
  const std::string name = has_name ? in_quotes(template_.name_texts[named.name]) + ", " : std::string();
  fail(callee.is_defined() ? ErrorCode::wrong_type : ErrorCode::missing,
       name + std::string(kind_name(callee)), "a function");
}

// Puts the arguments to the parameters they are for.
Value Interpreter::call(const Builtin& builtin, const Value& self, const Arguments& passed) {
  const Level level(*this);  // a filter may call another, such as map('map', 'map')
  charge();
  Call made = {*this, self, {}, passed};
  if (builtin.parameters == "*") return builtin.run(made);
  std::size_t n = 0, n_named = 0;
  for (std::string_view rest = builtin.parameters; !rest.empty(); ++n) {
    const std::string_view name = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (n < passed.listed.size()) {
      made.values[n] = passed.listed[n];
      continue;
    }
    const auto named = std::ranges::find(passed.named, name, &NamedValue::first);
    if (named == passed.named.end()) continue;
    made.values[n] = named->second;
    ++n_named;
  }
  if (passed.listed.size() > n || n_named != passed.named.size()) fail_arguments(builtin);
  return builtin.run(made);
}

void Interpreter::fail_arguments(const Builtin& builtin) const {
  fail(ErrorCode::wrong_type, "other arguments for " + in_quotes(builtin.name),
       builtin.parameters.empty() ? "none" : std::string(builtin.parameters));
}

Value* Interpreter::find(Dict& dict, const Value& key) {
  for (auto& [name, value] : dict.items) {
    charge();
    if (equal(name, key)) return &value;
  }
  return nullptr;
}

Value Interpreter::loop_attribute(const Loop& loop, std::string_view name) {
  const auto& items = loop.items->items;
  const auto index = static_cast<std::int64_t>(loop.index), n = static_cast<std::int64_t>(items.size());
  if (name == "index0") return Value(index);
  if (name == "index") return Value(index + 1);
  if (name == "revindex0") return Value(n - index - 1);
  if (name == "revindex") return Value(n - index);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == n);
  if (name == "length") return Value(n);
  if (name == "depth") return Value(std::int64_t{1});
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem") return index > 0 ? items[loop.index - 1] : Value();
  if (name == "nextitem") return index + 1 < n ? items[loop.index + 1] : Value();
  return {};
}

// a.b: a method first, then an item.
Value Interpreter::attribute(const Value& object, TextView name, std::string_view utf8) {
  if (!object.is_defined())
    fail(ErrorCode::missing, "." + in_quotes(utf8) + " of something undefined", "a value");
  const Builtin* method = nullptr;
  if (object.text()) method = find_text_method(utf8);
  if (object.list()) method = find_list_method(utf8);
  if (object.dict()) method = find_dict_method(utf8);
  if (object.is<Loop*>() && utf8 == "cycle") method = find_function("loop.cycle");
  if (method) {
    return function(
        {.builtin = method, .self = object, .macro = nullptr, .first_parameter = 0, .scope = nullptr});
  }
  const Text key(name);
  if (Dict* const dict = object.dict()) {
    const Value* found = find(*dict, Value(&key));
    return found ? *found : Value();
  }
  if (const auto* names = object.as<Namespace*>()) {
    const Value* found = find(**names, Value(&key));
    return found ? *found : Value();
  }
  if (const auto* loop = object.as<Loop*>()) return loop_attribute(**loop, utf8);
  if (utf8.starts_with('_')) {
    fail(ErrorCode::unsupported, in_quotes(utf8) + " of " + std::string(kind_name(object)), "no internals");
  }
  return {};
}

// a[b]: an item first, then a method.
Value Interpreter::item(const Value& object, const Value& key) {
  if (!object.is_defined()) fail(ErrorCode::missing, "an item of something undefined", "a value");
  const Value found = member(object, key);
  if (found.is_defined() || !key.text()) return found;
  return attribute(object, *key.text(), to_utf8(*key.text()));
}

Value Interpreter::member(const Value& object, const Value& key) {
  if (Dict* const dict = object.dict()) {
    const Value* found = find(*dict, key);
    return found ? *found : Value();
  }
  const Text* characters = object.text();
  const List* items = object.list();
  if ((!characters && !items) || (!key.is<std::int64_t>() && !key.is<bool>())) return {};
  const auto size = static_cast<std::int64_t>(characters ? characters->size() : items->items.size());
  std::int64_t index = integer_of(key);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return {};
  const auto at = static_cast<std::size_t>(index);
  return characters ? text(Text(1, (*characters)[at])) : items->items[at];
}

Value Interpreter::slice(const Expression& e) {
  const Value object = evaluate(*e.parts[0]);
  Bounds bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const Value value = e.parts[i + 1] ? evaluate(*e.parts[i + 1]) : Value(None{});
    at_ = e.offset;
    if (!value.is<None>()) bounds[i] = bound_of(value);
  }
  at_ = e.offset;
  return sliced(object, bounds);
}

std::int64_t Interpreter::bound_of(const Value& value) const {
  if (value.is<std::int64_t>() || value.is<bool>()) return integer_of(value);
  fail(ErrorCode::wrong_type, std::string(kind_name(value)) + " in a slice", "an integer");
}

// object[from:to:step] as Python counts.
Value Interpreter::sliced(const Value& object, const Bounds& bounds) {
  const Text* characters = object.text();
  const List* items = object.list();
  if (!characters && !items) {
    fail(ErrorCode::wrong_type, "a slice of " + std::string(kind_name(object)), "a string or a list");
  }
  const std::int64_t step = bounds[2].value_or(1);
  if (step == 0) fail(ErrorCode::out_of_range, "a slice's step of 0", "any other");
  const auto size = static_cast<std::int64_t>(characters ? characters->size() : items->items.size());
  const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto bound = [&](std::optional<std::int64_t> given, std::int64_t absent) {
    if (!given) return absent;
    return std::clamp(*given < 0 ? *given + size : *given, low, high);
  };
  const std::int64_t from = bound(bounds[0], step < 0 ? high : low);
  const std::int64_t to = bound(bounds[1], step < 0 ? low : high);
  charge(static_cast<std::size_t>(size));
  Text part;
  std::vector<Value> kept;
  for (std::int64_t i = from; step < 0 ? i > to : i < to;) {
    const auto at = static_cast<std::size_t>(i);
    characters ? part.push_back((*characters)[at]) : kept.push_back(items->items[at]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return characters ? text(std::move(part)) : list(std::move(kept), items->is_tuple);
}

}  // namespace nibble::inline v0::jinja
