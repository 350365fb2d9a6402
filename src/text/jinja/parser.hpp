// Compiles a template's source.
// Between the lexer and the interpreter; used by ChatTemplate.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "nibble/core/limits.hpp"
#include "src/text/jinja/syntax.hpp"

namespace nibble::inline v0::jinja {

class Parser {
 public:
  Parser(Template& made, const Limits& limits);
  // Fills the template. Errors, at line and column: malformed (syntax), unsupported (a tag, filter or test
  // this build does not know), limit (template_depth).
  void run();

 private:
  using Kind = Expression::Kind;
  using Op = Expression::Op;
  using Pointer = Expression::Pointer;
  using Texts = std::vector<std::string_view>;

  // statements.cpp
  Body body(const Texts& ends);
  void tag(Body& into);
  Statement branch();
  Statement loop();
  Statement assignment();
  Statement macro();
  Statement call_block();
  Statement filter_block();
  Statement with();
  Statement loop_control(Statement::Kind kind);
  void parameters(Statement& statement);
  Target target(bool attributes);
  Target single_target(bool attributes);
  Body closed_body(std::string_view end);
  void end_tag();

  // expressions.cpp
  Pointer tuple_or_expression();
  Pointer expression();
  Pointer binary(int level);
  Pointer comparison(Pointer first);
  Pointer unary();
  Pointer postfix(Pointer subject);
  Pointer subscript(Pointer subject);
  Pointer applied(Kind kind, Pointer subject);
  Pointer filters(Pointer subject);
  Pointer primary();
  Pointer bracketed();
  Pointer dict();
  Pointer numeral();
  void arguments(Expression& call);
  bool starts_argument() const;
  std::optional<Op> comparator() const;

  Pointer make(Kind kind, std::uint32_t offset, std::vector<Pointer> parts = {});
  NameId intern(std::string_view name);
  std::string_view dotted_name();
  bool is(std::string_view symbol_or_word) const;
  bool take(std::string_view symbol_or_word);
  void expect(std::string_view symbol_or_word);
  std::string_view expect_name();
  void advance();
  Error unexpected(std::string_view allowed) const;

  // Counts the nesting that parsing recurses into.
  class Nesting {
   public:
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  Template& made_;
  const Limits& limits_;
  Lexer lexer_;
  Token token_, next_;  // the one to be read, and the one behind it
  std::uint32_t depth_ = 0, loops_ = 0;
  std::map<std::string, NameId, std::less<>> name_ids_;
};

}  // namespace nibble::inline v0::jinja
