// A compiled template: statements and expressions as trees of bounded height.
// What the parser makes and the interpreter walks; immutable, shared by threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/text/jinja/lexer.hpp"
#include "src/text/jinja/value.hpp"

namespace nibble::inline v0::jinja {

struct Builtin;  // a filter, a test, a method or a global function; see builtins.hpp

using NameId = std::uint32_t;  // of Template::names

struct Expression {
  enum class Kind : std::uint8_t {
    constant,
    name,
    list,
    tuple,
    dict,         // key, value, key, value, …
    attribute,    // of parts[0]
    item,         // parts[0][parts[1]]
    slice,        // parts[0][from:to:step], null where left out
    call,         // parts[0](…)
    filter,       // parts[0]|builtin(…)
    test,         // parts[0] is builtin(…)
    negate,       // -
    keep,         // unary +
    invert,       // not
    both,         // and
    either,       // or
    conditional,  // parts[0] if parts[1] else parts[2] (null: undefined)
    arithmetic,   // parts[0] op parts[1]
    compare       // parts[0] ops[0] parts[1] ops[1] …
  };
  enum class Op : std::uint32_t {
    add,
    subtract,
    multiply,
    divide,
    floor,
    modulo,
    power,
    join,
    equal,
    unequal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    not_in
  };
  using Pointer = std::unique_ptr<Expression>;

  Kind kind = Kind::constant;
  Op op = Op::add;           // of arithmetic
  std::uint32_t height = 1;  // of the tree
  std::uint32_t offset = 0;  // byte of the source
  NameId name = 0;           // of a name or an attribute
  Value constant;
  const Builtin* builtin = nullptr;
  std::vector<Pointer> parts;
  // Of call, filter and test: the names of the last arguments, one each. Of compare: its operators.
  std::vector<std::uint32_t> words;
};

struct Statement;
using Body = std::vector<Statement>;

// Where a value goes: a name, an attribute of a namespace, or several of them.
struct Target {
  NameId name = 0;
  std::optional<NameId> attribute;
  std::vector<Target> parts;
};

struct Statement {
  enum class Kind : std::uint8_t {
    text,       // text
    output,     // {{ expressions[0] }}
    branch,     // if expressions[i] then bodies[i]; one body more is the else
    loop,       // for targets[0] in expressions[0], if expressions[1] (or null): bodies[0], else bodies[1]
    set,        // targets[0] = expressions[0]
    set_block,  // targets[0] = bodies[0], filtered by expressions[0] (or null)
    macro,      // targets[0] is its name, the others its parameters; expressions: defaults of the last ones
    call,       // the last expression, a call, with bodies[0] as `caller`; targets and the other expressions
                // are its parameters and their defaults
    filter,     // bodies[0], filtered by expressions[0]
    scope,      // with: targets[i] = expressions[i] in bodies[0]
    leave,      // break
    skip        // continue
  };
  Kind kind = Kind::text;
  std::uint32_t offset = 0;
  Text text;
  std::vector<Target> targets;
  std::vector<Expression::Pointer> expressions;
  std::vector<Body> bodies;
};

struct Template {
  Source source;
  std::vector<Text> names;  // by NameId
  std::vector<std::string> name_texts;
  Heap constants;
  Body body;
};

}  // namespace nibble::inline v0::jinja
