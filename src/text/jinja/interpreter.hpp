// Renders a compiled template: walks its statements and expressions within a budget of steps, levels and
// output. The last step of a chat prompt; one Interpreter is one rendering.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "nibble/core/limits.hpp"
#include "src/text/jinja/builtins.hpp"
#include "src/text/jinja/syntax.hpp"

namespace nibble::inline v0::jinja {

// Variables of one part of the template, by name; those of `outer` show through.
struct Scope {
  Scope* outer = nullptr;
  std::vector<std::pair<NameId, Value>> names;
};

// A builtin, bound to its object if it is a method; or a macro.
struct Function {
  const Builtin* builtin = nullptr;
  Value self;
  const Statement* macro = nullptr;  // its definition, or a call block
  std::size_t first_parameter = 0;   // among its targets
  Scope* scope = nullptr;            // where it was defined
};

class Interpreter {
 public:
  Interpreter(const Template& made, const Limits& limits, std::optional<std::chrono::local_seconds> now);

  // A global variable.
  void define(std::string_view name, Value value);
  // The output. Errors, all at line and column: invalid_argument (raise_exception), limit (a budget),
  // wrong_type, out_of_range, missing, malformed (what jinja2 refuses), unsupported.
  Text run();

  // What the builtins work with.
  Heap heap;
  Value text(Text made);  // charged for
  Value list(std::vector<Value> items, bool is_tuple = false);
  Value dict(Dict made);
  // Counts steps: one, and one for each 16 of `n` characters or values made or searched.
  void charge(std::size_t n = 0);
  [[noreturn]] void fail(ErrorCode code, std::string found, std::string allowed) const;
  Value call(const Builtin& builtin, const Value& self, const Arguments& arguments);
  // object.name, as `attribute` or as `item` first.
  Value attribute(const Value& object, TextView name, std::string_view utf8);
  Value item(const Value& object, const Value& key);
  Value member(const Value& object, const Value& key);  // item, or else undefined
  Value* find(Dict& dict, const Value& key);            // null where it is not there
  Value arithmetic(Expression::Op op, const Value& a, const Value& b);
  bool compare(Expression::Op op, const Value& a, const Value& b);
  bool equal(const Value& a, const Value& b);
  bool less(const Value& a, const Value& b);  // Error(wrong_type) where neither is more
  bool contains(const Value& container, const Value& value);
  std::vector<Value> items_of(const Value& value);  // what a loop over it sees
  const std::optional<std::chrono::local_seconds>& now() const { return now_; }
  const Limits& limits() const { return limits_; }

  // One level deeper, while it lives.
  class Level {
   public:
    explicit Level(Interpreter& in) : in_(in) {
      if (++in_.levels_ > in_.limits_.template_levels) in_.too_deep();
    }
    ~Level() { --in_.levels_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Interpreter& in_;
  };

 private:
  enum class Flow : std::uint8_t { next, leave, skip };
  [[noreturn]] void too_deep();

  // statements.cpp
  Flow run(const Body& body);
  Flow run(const Statement& statement);
  Flow run_loop(const Statement& statement);
  Flow run_branch(const Statement& statement);
  Value captured(const Body& body);
  void print(TextView text);
  void assign(const Target& target, const Value& value);
  void set(NameId name, const Value& value);
  Value call_macro(const Function& function, const Arguments& arguments);
  void bind(const Function& function, const Arguments& arguments);
  Value function(Function made);
  Scope* push_scope(Scope* outer);
  std::vector<Value> selected(const Statement& loop, const std::vector<Value>& items);

  // expressions.cpp
  Value evaluate(const Expression& expression);
  Value choice(const Expression& expression);     // evaluates what its first part chooses
  Value operation(const Expression& expression);  // on one value or two
  Value written_list(const Expression& expression);
  Value written_dict(const Expression& expression);
  Value resolve(NameId name);
  Value apply(const Expression& filter);
  Value call_expression(const Expression& call, const Value* caller = nullptr);
  Arguments arguments(const Expression& call, std::size_t first);
  Value comparison(const Expression& expression);
  [[noreturn]] void fail_arguments(const Builtin& builtin) const;
  [[noreturn]] void fail_call(const Expression& named, const Value& callee) const;
  using Bounds = std::array<std::optional<std::int64_t>, 3>;  // from, to, step
  Value slice(const Expression& expression);
  std::int64_t bound_of(const Value& value) const;
  Value sliced(const Value& object, const Bounds& bounds);
  Value loop_attribute(const Loop& loop, std::string_view name);

  // operators.cpp
  Value add(const Value& a, const Value& b);
  Value repeat(const Value& a, std::int64_t times);
  Value on_integers(Expression::Op op, std::int64_t a, std::int64_t b);
  Value on_numbers(Expression::Op op, double a, double b);

  const Template& template_;
  const Limits& limits_;
  std::optional<std::chrono::local_seconds> now_;
  std::uint32_t at_ = 0;  // byte of the source under way
  std::uint64_t steps_ = 0;
  std::uint32_t levels_ = 0;
  std::deque<Scope> scopes_;
  std::deque<Function> functions_;
  std::deque<Loop> loops_;
  Scope* scope_ = nullptr;
  NameId loop_name_, caller_name_;  // no_name where the template does not mention them
  Value block_;                     // what a filter block has printed
  Text output_;                     // of the template or of what is captured
};

}  // namespace nibble::inline v0::jinja
