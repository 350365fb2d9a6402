// The parser's expressions, by precedence: conditional, or, and, not, comparisons, +, ~, *, **, unary,
// postfix. See parser.hpp; parse_statements.cpp has the rest.
#include <algorithm>
#include <array>
#include <charconv>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/builtins.hpp"
#include "src/text/jinja/parser.hpp"

namespace nibble::inline v0::jinja {

namespace {

constexpr int or_level = 1, and_level = 2, not_level = 3, compare_level = 4, power_level = 8;

struct Operator {
  std::string_view text;
  int level;
  Expression::Kind kind;
  Expression::Op op = Expression::Op::add;
};
using Kind = Expression::Kind;
using Op = Expression::Op;
constexpr std::array<Operator, 10> operators = {{{"or", or_level, Kind::either},
                                                 {"and", and_level, Kind::both},
                                                 {"+", 5, Kind::arithmetic, Op::add},
                                                 {"-", 5, Kind::arithmetic, Op::subtract},
                                                 {"~", 6, Kind::arithmetic, Op::join},
                                                 {"*", 7, Kind::arithmetic, Op::multiply},
                                                 {"/", 7, Kind::arithmetic, Op::divide},
                                                 {"//", 7, Kind::arithmetic, Op::floor},
                                                 {"%", 7, Kind::arithmetic, Op::modulo},
                                                 {"**", power_level, Kind::arithmetic, Op::power}}};

constexpr std::array<std::pair<std::string_view, Op>, 7> comparators = {{{"==", Op::equal},
                                                                         {"!=", Op::unequal},
                                                                         {"<", Op::less},
                                                                         {"<=", Op::less_equal},
                                                                         {">", Op::greater},
                                                                         {">=", Op::greater_equal},
                                                                         {"in", Op::in}}};

std::vector<Expression::Pointer> list_of(Expression::Pointer a, Expression::Pointer b) {
  std::vector<Expression::Pointer> parts;
  parts.push_back(std::move(a));
  parts.push_back(std::move(b));
  return parts;
}

std::vector<Expression::Pointer> list_of(Expression::Pointer a) {
  std::vector<Expression::Pointer> parts;
  parts.push_back(std::move(a));
  return parts;
}

}  // namespace

Parser::Pointer Parser::make(Kind kind, std::uint32_t offset, std::vector<Pointer> parts) {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->offset = offset;
  for (const Pointer& part : parts) {
    if (part) made->height = std::max(made->height, part->height + 1);
  }
  if (made->height > limits_.template_depth) {
    throw made_.source.error(ErrorCode::limit, offset, "an expression too high",
                             "template_depth, " + std::to_string(limits_.template_depth));
  }
  made->parts = std::move(parts);
  return made;
}

// a, b: a tuple without parentheses.
Parser::Pointer Parser::tuple_or_expression() {
  const std::uint32_t offset = token_.offset;
  Pointer first = expression();
  if (!is(",")) return first;
  std::vector<Pointer> parts = list_of(std::move(first));
  while (take(",") && starts_argument()) parts.push_back(expression());
  return make(Kind::tuple, offset, std::move(parts));
}

Parser::Pointer Parser::expression() {
  const Nesting nesting(*this);
  Pointer value = binary(or_level);
  while (is("if")) {
    const std::uint32_t offset = token_.offset;
    advance();
    std::vector<Pointer> parts = list_of(std::move(value), binary(or_level));
    parts.push_back(take("else") ? expression() : nullptr);
    value = make(Kind::conditional, offset, std::move(parts));
  }
  return value;
}

// Operators of at least this level, those of one level from the left.
Parser::Pointer Parser::binary(int level) {
  const Nesting nesting(*this);
  Pointer left;
  const std::uint32_t begin = token_.offset;
  if (level <= not_level && take("not")) {
    left = make(Kind::invert, begin, list_of(binary(not_level)));
  } else {
    left = unary();
  }
  while (true) {
    if (level <= compare_level && comparator()) {
      left = comparison(std::move(left));
      continue;
    }
    const auto found = std::find_if(operators.begin(), operators.end(),
                                    [&](const Operator& o) { return o.level >= level && is(o.text); });
    if (found == operators.end()) return left;
    const std::uint32_t offset = token_.offset;
    advance();
    left = make(found->kind, offset, list_of(std::move(left), binary(found->level + 1)));
    left->op = found->op;
  }
}

std::optional<Parser::Op> Parser::comparator() const {
  if (is("not") && next_.kind == Token::Kind::name && next_.text == "in") return Op::not_in;
  for (const auto& [text, op] : comparators) {
    if (is(text)) return op;
  }
  return std::nullopt;
}

// a < b <= c, as in Python.
Parser::Pointer Parser::comparison(Pointer first) {
  const std::uint32_t offset = token_.offset;
  std::vector<Pointer> parts = list_of(std::move(first));
  std::vector<std::uint32_t> ops;
  while (const auto op = comparator()) {
    if (op == Op::not_in) advance();
    advance();
    ops.push_back(static_cast<std::uint32_t>(*op));
    parts.push_back(binary(compare_level + 1));
  }
  Pointer made = make(Kind::compare, offset, std::move(parts));
  made->words = std::move(ops);
  return made;
}

// Filters and tests apply to -x, not to x.
Parser::Pointer Parser::unary() {
  std::vector<std::pair<Kind, std::uint32_t>> signs;
  while (is("-") || is("+")) {
    signs.push_back({is("-") ? Kind::negate : Kind::keep, token_.offset});
    advance();
  }
  Pointer value = postfix(primary());
  for (; !signs.empty(); signs.pop_back()) {
    value = make(signs.back().first, signs.back().second, list_of(std::move(value)));
  }
  return filters(std::move(value));
}

Parser::Pointer Parser::postfix(Pointer subject) {
  while (true) {
    const std::uint32_t offset = token_.offset;
    if (is("(")) {
      subject = make(Kind::call, offset, list_of(std::move(subject)));
      arguments(*subject);
    } else if (take("[")) {
      subject = subscript(std::move(subject));
    } else if (take(".")) {
      if (token_.kind == Token::Kind::integer) {
        subject = make(Kind::item, offset, list_of(std::move(subject), numeral()));
      } else {
        const NameId name = intern(expect_name());
        subject = make(Kind::attribute, offset, list_of(std::move(subject)));
        subject->name = name;
      }
    } else {
      return subject;
    }
  }
}

// [index] or [from:to:step], behind the bracket.
Parser::Pointer Parser::subscript(Pointer subject) {
  const std::uint32_t offset = token_.offset;
  std::vector<Pointer> parts = list_of(std::move(subject));
  bool slices = false;
  parts.push_back(is(":") ? nullptr : tuple_or_expression());
  while (parts.size() < 4 && take(":")) {
    slices = true;
    parts.push_back(is(":") || is("]") ? nullptr : expression());
  }
  expect("]");
  if (slices) parts.resize(4);
  return make(slices ? Kind::slice : Kind::item, offset, std::move(parts));
}

Parser::Pointer Parser::filters(Pointer subject) {
  while (true) {
    const std::uint32_t offset = token_.offset;
    if (take("|")) {
      subject = applied(Kind::filter, std::move(subject));
    } else if (take("is")) {
      const bool inverted = take("not");
      subject = applied(Kind::test, std::move(subject));
      if (inverted) subject = make(Kind::invert, offset, list_of(std::move(subject)));
    } else if (is("(")) {
      subject = postfix(std::move(subject));
    } else {
      return subject;
    }
  }
}

// A filter or a test by its name, with its arguments; a test's only one may stand without parentheses.
Parser::Pointer Parser::applied(Kind kind, Pointer subject) {
  const std::uint32_t offset = token_.offset;
  const std::string_view name = expect_name();
  const Builtin* builtin = kind == Kind::filter ? find_filter(name) : find_test(name);
  if (!builtin) {
    throw made_.source.error(ErrorCode::unsupported, offset, in_quotes(name),
                             kind == Kind::filter ? "a known filter" : "a known test");
  }
  Pointer made = make(kind, offset, list_of(std::move(subject)));
  made->builtin = builtin;
  if (is("(")) {
    arguments(*made);
  } else if (kind == Kind::test && starts_argument() && !is("-") && !is("+")) {
    std::vector<Pointer> parts = std::move(made->parts);
    parts.push_back(postfix(primary()));
    made = make(kind, offset, std::move(parts));
    made->builtin = builtin;
  }
  return made;
}

// (a, b, name=c): appended to the call's parts.
void Parser::arguments(Expression& call) {
  expect("(");
  while (!take(")")) {
    if (token_.kind == Token::Kind::name && next_.kind == Token::Kind::symbol && next_.text == "=") {
      call.words.push_back(intern(expect_name()));
      advance();
    } else if (!call.words.empty()) {
      throw unexpected("an argument with its name, as before");
    }
    call.parts.push_back(expression());
    const std::uint32_t height = call.parts.back()->height;
    if (height >= limits_.template_depth) throw unexpected("an expression less high");
    call.height = std::max(call.height, height + 1);
    if (!is(")")) expect(",");
  }
}

// Whether what comes could be an expression rather than what follows one.
bool Parser::starts_argument() const {
  switch (token_.kind) {
    case Token::Kind::name:
      return std::ranges::none_of(std::array{"else", "or", "and", "is", "if", "in"},
                                  [&](std::string_view word) { return is(word); }) &&
             !comparator();
    case Token::Kind::string:
    case Token::Kind::integer:
    case Token::Kind::number: return true;
    default: return is("(") || is("[") || is("{") || is("-") || is("+");
  }
}

Parser::Pointer Parser::primary() {
  const Token token = token_;
  switch (token.kind) {
    case Token::Kind::name: break;
    case Token::Kind::string: {
      Text text;
      for (; token_.kind == Token::Kind::string; advance()) text += unescape(made_.source, token_);
      Pointer made = make(Kind::constant, token.offset);
      made->constant = made_.constants.add(std::move(text));
      return made;
    }
    case Token::Kind::integer:
    case Token::Kind::number: return numeral();
    default: return bracketed();
  }
  advance();
  const bool truth = token.text == "true" || token.text == "True";
  const bool none = token.text == "none" || token.text == "None";
  if (truth || none || token.text == "false" || token.text == "False") {
    Pointer made = make(Kind::constant, token.offset);
    made->constant = none ? Value(None{}) : Value(truth);
    return made;
  }
  Pointer made = make(Kind::name, token.offset);
  made->name = intern(token.text);
  return made;
}

Parser::Pointer Parser::numeral() {
  const Token token = token_;
  std::string digits(token.text);
  std::erase(digits, '_');
  const char *begin = digits.data(), *end = begin + digits.size();
  Pointer made = make(Kind::constant, token.offset);
  std::int64_t integer = 0;
  double number = 0;
  const bool whole = token.kind == Token::Kind::integer;
  const auto read = whole ? std::from_chars(begin, end, integer) : std::from_chars(begin, end, number);
  if (read.ec != std::errc() || read.ptr != end) throw unexpected("a number of 64 bits");
  made->constant = whole ? Value(integer) : Value(number);
  advance();
  return made;
}

// A list, a dictionary, a tuple, or an expression in parentheses.
Parser::Pointer Parser::bracketed() {
  const std::uint32_t offset = token_.offset;
  if (take("{")) return dict();
  const bool list = is("[");
  if (!list && !is("(")) throw unexpected("an expression");
  advance();
  const std::string_view close = list ? "]" : ")";
  std::vector<Pointer> parts;
  bool comma = false;
  while (!take(close)) {
    parts.push_back(expression());
    if (is(close)) continue;
    expect(",");
    comma = true;
  }
  if (!list && !comma && !parts.empty()) return std::move(parts.front());
  return make(list ? Kind::list : Kind::tuple, offset, std::move(parts));
}

Parser::Pointer Parser::dict() {
  const std::uint32_t offset = token_.offset;
  std::vector<Pointer> parts;
  while (!take("}")) {
    parts.push_back(expression());
    expect(":");
    parts.push_back(expression());
    if (!is("}")) expect(",");
  }
  return make(Kind::dict, offset, std::move(parts));
}

}  // namespace nibble::inline v0::jinja
