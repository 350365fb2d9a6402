// The interpreter's statements, its scopes, its output and its budget.
// See interpreter.hpp.
#include <algorithm>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

constexpr NameId no_name = ~NameId{0};

NameId find_name(const Template& made, std::string_view name) {
  const auto found = std::find(made.name_texts.begin(), made.name_texts.end(), name);
  return found == made.name_texts.end() ? no_name : static_cast<NameId>(found - made.name_texts.begin());
}

}  // namespace

Interpreter::Interpreter(const Template& made, const Limits& limits,
                         std::optional<std::chrono::local_seconds> now)
    : template_(made),
      limits_(limits),
      now_(now),
      loop_name_(find_name(made, "loop")),
      caller_name_(find_name(made, "caller")) {
  scope_ = push_scope(nullptr);
}

void Interpreter::define(std::string_view name, Value value) {
  const NameId id = find_name(template_, name);
  if (id != no_name) set(id, value);
}

Text Interpreter::run() {
  run(template_.body);
  return std::move(output_);
}

void Interpreter::fail(ErrorCode code, std::string found, std::string allowed) const {
  throw template_.source.error(code, at_, std::move(found), std::move(allowed));
}

void Interpreter::too_deep() {
  fail(ErrorCode::limit, "nesting too deep", "template_levels, " + std::to_string(limits_.template_levels));
}

void Interpreter::charge(std::size_t n) {
  steps_ += 1 + n / 16;
  if (steps_ > limits_.template_steps) {
    fail(ErrorCode::limit, "more steps", "template_steps, " + std::to_string(limits_.template_steps));
  }
}

Value Interpreter::text(Text made) {
  charge(made.size() + 16);
  return heap.add(std::move(made));
}

Value Interpreter::list(std::vector<Value> items, bool is_tuple) {
  charge(items.size() * 4);
  return Value(heap.add(List{std::move(items), is_tuple}));
}

Value Interpreter::dict(Dict made) {
  charge(made.items.size() * 8);
  return Value(heap.add(std::move(made)));
}

Value Interpreter::function(Function made) {
  charge(8);
  return Value(&functions_.emplace_back(std::move(made)));
}

Scope* Interpreter::push_scope(Scope* outer) {
  charge(8);
  return &scopes_.emplace_back(Scope{outer, {}});
}

void Interpreter::set(NameId name, const Value& value) {
  auto& names = scope_->names;
  charge(names.size());
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; });
  if (found != names.end()) {
    found->second = value;
  } else {
    names.emplace_back(name, value);
  }
}

void Interpreter::print(TextView text) {
  charge(text.size());
  if (text.size() > limits_.template_output - output_.size()) {
    fail(ErrorCode::limit, "more output", "template_output, " + std::to_string(limits_.template_output));
  }
  output_ += text;
}

Value Interpreter::captured(const Body& body) {
  Text outside = std::exchange(output_, {});
  run(body);
  return text(std::exchange(output_, std::move(outside)));
}

Interpreter::Flow Interpreter::run(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = run(statement);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const Statement& s) {
  const Level level(*this);
  at_ = s.offset;
  charge();
  switch (s.kind) {
    case Statement::Kind::text: print(s.text); break;
    case Statement::Kind::output: {
      const Value value = evaluate(*s.expressions[0]);
      at_ = s.offset;
      value.text() ? print(*value.text()) : print(to_string(*this, value));
      break;
    }
    case Statement::Kind::branch: return run_branch(s);
    case Statement::Kind::loop: return run_loop(s);
    case Statement::Kind::set: assign(s.targets[0], evaluate(*s.expressions[0])); break;
    case Statement::Kind::set_block:
    case Statement::Kind::filter: {
      block_ = captured(s.bodies[0]);
      const Value value = s.expressions[0] ? evaluate(*s.expressions[0]) : block_;
      if (s.kind == Statement::Kind::set_block) {
        assign(s.targets[0], value);
      } else {
        print(to_string(*this, value));
      }
      break;
    }
    case Statement::Kind::macro:
      set(s.targets[0].name,
          function({.builtin = nullptr, .self = {}, .macro = &s, .first_parameter = 1, .scope = scope_}));
      break;
    case Statement::Kind::call: {
      const Value caller =
          function({.builtin = nullptr, .self = {}, .macro = &s, .first_parameter = 0, .scope = scope_});
      print(to_string(*this, call_expression(*s.expressions.back(), &caller)));
      break;
    }
    case Statement::Kind::scope: {
      Scope* const outer = scope_;
      Scope* const inner = push_scope(outer);
      for (std::size_t i = 0; i < s.targets.size(); ++i) {
        const Value value = evaluate(*s.expressions[i]);
        scope_ = inner;
        assign(s.targets[i], value);
        scope_ = outer;
      }
      scope_ = inner;
      const Flow flow = run(s.bodies[0]);
      scope_ = outer;
      return flow;
    }
    case Statement::Kind::leave: return Flow::leave;
    case Statement::Kind::skip: return Flow::skip;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_branch(const Statement& s) {
  for (std::size_t i = 0; i < s.expressions.size(); ++i) {
    if (is_true(evaluate(*s.expressions[i]))) return run(s.bodies[i]);
  }
  return s.bodies.size() > s.expressions.size() ? run(s.bodies.back()) : Flow::next;
}

Interpreter::Flow Interpreter::run_loop(const Statement& s) {
  const Value over = evaluate(*s.expressions[0]);
  at_ = s.offset;
  std::vector<Value> items = items_of(over);
  Scope* const outer = scope_;
  scope_ = push_scope(outer);
  if (s.expressions[1]) items = selected(s, items);
  charge(items.size() * 4);
  Loop& loop = loops_.emplace_back(Loop{heap.add(List{std::move(items)}), 0});
  Flow flow = Flow::next;
  for (; loop.index < loop.items->items.size() && flow != Flow::leave; ++loop.index) {
    scope_->names.clear();
    if (loop_name_ != no_name) set(loop_name_, Value(&loop));
    assign(s.targets[0], loop.items->items[loop.index]);
    flow = run(s.bodies[0]);
  }
  if (loop.items->items.empty() && s.bodies.size() > 1) run(s.bodies[1]);
  scope_ = outer;
  return Flow::next;
}

// The items for which the loop's condition holds.
std::vector<Value> Interpreter::selected(const Statement& s, const std::vector<Value>& items) {
  std::vector<Value> kept;
  for (const Value& item : items) {
    scope_->names.clear();
    assign(s.targets[0], item);
    if (is_true(evaluate(*s.expressions[1]))) kept.push_back(item);
  }
  return kept;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const std::vector<Value> items = items_of(value);
    if (items.size() != target.parts.size()) {
      fail(ErrorCode::wrong_type, std::to_string(items.size()) + " values",
           std::to_string(target.parts.size()) + ", one for each name");
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
  } else if (!target.attribute) {
    set(target.name, value);
  } else {
    const Value held = resolve(target.name);
    const auto* names = held.as<Namespace*>();
    if (!names) {
      fail(ErrorCode::wrong_type,
           std::string(kind_name(held)) + " as " + in_quotes(template_.name_texts[target.name]),
           "a namespace");
    }
    const Value key(&template_.names[*target.attribute]);
    if (Value* const there = find(**names, key)) {
      *there = value;
    } else {
      charge(8);
      (*names)->items.emplace_back(key, value);
    }
  }
}

Value Interpreter::call_macro(const Function& f, const Arguments& arguments) {
  const Level level(*this);
  Scope* const before = std::exchange(scope_, push_scope(f.scope));
  bind(f, arguments);
  const Value made = captured(f.macro->bodies[0]);
  scope_ = before;
  return made;
}

// A macro's parameters: as passed by place or by name, or their defaults, or undefined.
void Interpreter::bind(const Function& f, const Arguments& arguments) {
  const Statement& macro = *f.macro;
  const std::size_t n = macro.targets.size() - f.first_parameter;
  const std::size_t n_defaults = macro.expressions.size() - (macro.kind == Statement::Kind::call ? 1 : 0);
  std::size_t n_named = 0;
  if (arguments.listed.size() > n) {
    fail(ErrorCode::wrong_type, std::to_string(arguments.listed.size()) + " arguments",
         "at most " + std::to_string(n));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const NameId name = macro.targets[f.first_parameter + i].name;
    const auto named =
        std::ranges::find(arguments.named, std::string_view(template_.name_texts[name]), &NamedValue::first);
    Value value;
    if (i < arguments.listed.size()) {
      value = arguments.listed[i];
    } else if (named != arguments.named.end()) {
      value = named->second;
      ++n_named;
    } else if (i + n_defaults >= n) {
      value = evaluate(*macro.expressions[i + n_defaults - n]);
    }
    set(name, value);
  }
  for (const auto& [name, value] : arguments.named) {
    if (name != "caller") continue;
    ++n_named;
    if (caller_name_ != no_name) set(caller_name_, value);
  }
  if (n_named != arguments.named.size()) {
    fail(ErrorCode::wrong_type, "an argument of an unknown name or passed twice", "the macro's parameters");
  }
}

}  // namespace nibble::inline v0::jinja
