// The parser's statements: text, outputs and tags.
// See parser.hpp; parse_expressions.cpp has what stands inside them.
#include <algorithm>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/builtins.hpp"
#include "src/text/jinja/parser.hpp"

namespace nibble::inline v0::jinja {

namespace {

constexpr std::string_view known_tags =
    "if, for, break, continue, set, macro, call, filter, with, generation or raw";

Statement at(Statement::Kind kind, std::uint32_t offset) {
  Statement made;
  made.kind = kind;
  made.offset = offset;
  return made;
}

}  // namespace

Parser::Parser(Template& made, const Limits& limits) : made_(made), limits_(limits), lexer_(made.source) {
  token_ = lexer_.next();
  next_ = lexer_.next();
}

void Parser::run() { made_.body = body({}); }

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser.depth_ <= parser.limits_.template_depth) return;
  --parser.depth_;
  throw parser.made_.source.error(ErrorCode::limit, parser.token_.offset, "nesting too deep",
                                  "template_depth, " + std::to_string(parser.limits_.template_depth));
}

void Parser::advance() {
  token_ = next_;
  if (next_.kind != Token::Kind::end) next_ = lexer_.next();
}

bool Parser::is(std::string_view text) const {
  return (token_.kind == Token::Kind::symbol || token_.kind == Token::Kind::name) && token_.text == text;
}

bool Parser::take(std::string_view text) {
  if (!is(text)) return false;
  advance();
  return true;
}

void Parser::expect(std::string_view text) {
  if (!take(text)) throw unexpected(in_quotes(text));
}

std::string_view Parser::expect_name() {
  if (token_.kind != Token::Kind::name) throw unexpected("a name");
  const std::string_view name = token_.text;
  advance();
  return name;
}

void Parser::end_tag() {
  if (token_.kind != Token::Kind::tag_end) throw unexpected("the tag's end");
  advance();
}

Error Parser::unexpected(std::string_view allowed) const {
  const bool end = token_.kind == Token::Kind::end;
  return made_.source.error(ErrorCode::malformed, token_.offset, end ? "the end" : in_quotes(token_.text),
                            std::string(allowed));
}

NameId Parser::intern(std::string_view name) {
  const auto found = name_ids_.find(name);
  if (found != name_ids_.end()) return found->second;
  const auto id = static_cast<NameId>(made_.names.size());
  made_.names.push_back(to_text(name));
  made_.name_texts.emplace_back(name);
  name_ids_.emplace(name, id);
  return id;
}

// Statements up to a tag whose first word is one of `ends`, or to the template's end where there are none.
// The word is then the next token.
Body Parser::body(const Texts& ends) {
  const Nesting nesting(*this);
  Body made;
  while (token_.kind != Token::Kind::end) {
    if (token_.kind == Token::Kind::data) {
      made.push_back(at(Statement::Kind::text, token_.offset));
      made.back().text = to_text(token_.text);
      advance();
    } else if (token_.kind == Token::Kind::output_begin) {
      made.push_back(at(Statement::Kind::output, token_.offset));
      advance();
      made.back().expressions.push_back(tuple_or_expression());
      if (token_.kind != Token::Kind::output_end) throw unexpected("}}");
      advance();
    } else {
      advance();
      if (std::ranges::any_of(ends, [&](std::string_view end) { return is(end); })) return made;
      tag(made);
    }
  }
  if (!ends.empty()) throw unexpected("a tag " + in_quotes(ends.back()));
  return made;
}

Body Parser::closed_body(std::string_view end) {
  end_tag();
  Body made = body({end});
  advance();
  end_tag();
  return made;
}

void Parser::tag(Body& into) {
  const Nesting nesting(*this);  // beside that of its body: a tag counts twice, as a bracket does
  const std::uint32_t offset = token_.offset;
  const std::string_view name = expect_name();
  Statement made;
  if (name == "if") {
    made = branch();
  } else if (name == "for") {
    made = loop();
  } else if (name == "set") {
    made = assignment();
  } else if (name == "macro") {
    made = macro();
  } else if (name == "call") {
    made = call_block();
  } else if (name == "filter") {
    made = filter_block();
  } else if (name == "with") {
    made = with();
  } else if (name == "generation") {  // marks what the model is to be trained on
    made = at(Statement::Kind::scope, offset);
    made.bodies.push_back(closed_body("endgeneration"));
  } else if (name == "break" || name == "continue") {
    made = loop_control(name == "break" ? Statement::Kind::leave : Statement::Kind::skip);
  } else {
    throw made_.source.error(ErrorCode::unsupported, offset, in_quotes(name), std::string(known_tags));
  }
  made.offset = offset;
  into.push_back(std::move(made));
}

Statement Parser::loop_control(Statement::Kind kind) {
  if (loops_ == 0) throw unexpected("a loop around break and continue");
  end_tag();
  return at(kind, 0);
}

Statement Parser::branch() {
  Statement made = at(Statement::Kind::branch, 0);
  while (true) {
    made.expressions.push_back(tuple_or_expression());
    end_tag();
    made.bodies.push_back(body({"elif", "else", "endif"}));
    if (!take("elif")) break;
  }
  if (take("else")) {
    end_tag();
    made.bodies.push_back(body({"endif"}));
  }
  expect("endif");
  end_tag();
  return made;
}

Statement Parser::loop() {
  Statement made = at(Statement::Kind::loop, 0);
  made.targets.push_back(target(false));
  expect("in");
  made.expressions.push_back(binary(1));  // `if` begins the condition
  made.expressions.push_back(take("if") ? expression() : nullptr);
  if (is("recursive")) {
    throw made_.source.error(ErrorCode::unsupported, token_.offset, "a recursive loop", "a macro");
  }
  end_tag();
  ++loops_;
  made.bodies.push_back(body({"else", "endfor"}));
  --loops_;
  if (take("else")) {
    end_tag();
    made.bodies.push_back(body({"endfor"}));
  }
  expect("endfor");
  end_tag();
  return made;
}

// a, a.b, or (a, b), c
Target Parser::target(bool attributes) {
  Target first = single_target(attributes);
  if (!is(",")) return first;
  Target made;
  made.parts.push_back(std::move(first));
  while (take(",")) made.parts.push_back(single_target(false));
  return made;
}

Target Parser::single_target(bool attributes) {
  const Nesting nesting(*this);
  if (take("(")) {
    Target inner = target(false);
    expect(")");
    return inner;
  }
  Target made;
  made.name = intern(expect_name());
  if (attributes && take(".")) made.attribute = intern(expect_name());
  return made;
}

Statement Parser::assignment() {
  Statement made = at(Statement::Kind::set, 0);
  made.targets.push_back(target(true));
  if (take("=")) {
    made.expressions.push_back(tuple_or_expression());
    end_tag();
    return made;
  }
  made.kind = Statement::Kind::set_block;
  made.expressions.push_back(is("|") ? filters(nullptr) : nullptr);
  made.bodies.push_back(closed_body("endset"));
  return made;
}

// (a, b=1) behind a macro's name or `call`.
void Parser::parameters(Statement& made) {
  expect("(");
  while (!take(")")) {
    Target parameter;
    parameter.name = intern(expect_name());
    made.targets.push_back(parameter);
    if (take("=")) {
      made.expressions.push_back(expression());
    } else if (!made.expressions.empty()) {
      throw unexpected("a default, as the parameter before has one");
    }
    if (!is(")")) expect(",");
  }
}

// break and continue reach no loop outside.
Statement Parser::macro() {
  Statement made = at(Statement::Kind::macro, 0);
  made.targets.push_back({.name = intern(expect_name()), .attribute = {}, .parts = {}});
  parameters(made);
  const std::uint32_t loops = std::exchange(loops_, 0);
  made.bodies.push_back(closed_body("endmacro"));
  loops_ = loops;
  return made;
}

Statement Parser::call_block() {
  Statement made = at(Statement::Kind::call, 0);
  if (is("(")) parameters(made);
  made.expressions.push_back(expression());
  if (made.expressions.back()->kind != Kind::call) throw unexpected("a call before it");
  const std::uint32_t loops = std::exchange(loops_, 0);
  made.bodies.push_back(closed_body("endcall"));
  loops_ = loops;
  return made;
}

Statement Parser::filter_block() {
  Statement made = at(Statement::Kind::filter, 0);
  made.expressions.push_back(filters(applied(Kind::filter, nullptr)));
  made.bodies.push_back(closed_body("endfilter"));
  return made;
}

Statement Parser::with() {
  Statement made = at(Statement::Kind::scope, 0);
  while (token_.kind != Token::Kind::tag_end) {
    made.targets.push_back(single_target(false));
    expect("=");
    made.expressions.push_back(expression());
    if (token_.kind != Token::Kind::tag_end) expect(",");
  }
  made.bodies.push_back(closed_body("endwith"));
  return made;
}

}  // namespace nibble::inline v0::jinja
