// Cuts a template into tokens: text, tags, and what stands inside tags.
// First step of compiling a template; the parser asks for one token after the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/core/error.hpp"
#include "src/text/jinja/value.hpp"

namespace nibble::inline v0::jinja {

// A template's text under its name, to say where something is wrong.
struct Source {
  std::string name;
  std::string text;  // valid UTF-8, lines ended by \n

  // At the line and column of a byte.
  Error error(ErrorCode code, std::size_t offset, std::string found, std::string allowed) const;
};

struct Token {
  enum class Kind : std::uint8_t {
    data,          // text between tags
    output_begin,  // {{
    output_end,
    tag_begin,  // {%
    tag_end,
    name,
    string,
    integer,
    number,
    symbol,  // an operator or a bracket
    end
  };
  Kind kind = Kind::end;
  std::uint32_t offset = 0;
  std::string_view text;  // as written; of data without the white space that tags take away
};

// White space as transformers sets it: trim_blocks, lstrip_blocks, one newline at the end dropped.
class Lexer {
 public:
  explicit Lexer(const Source& source);
  // Errors: malformed (an unknown character, an open comment, string or raw block).
  Token next();

 private:
  Token data();
  Token inside();
  std::optional<Token> open_tag(std::size_t open);
  std::optional<Token> raw(std::size_t body);
  std::optional<Token> close_tag();
  void skip_comment();
  std::string_view before_tag(std::size_t begin, std::size_t open) const;
  Token take(Token::Kind kind, std::size_t length);
  Token take_string();
  Token take_numeral();
  Token take_symbol();
  bool at(std::string_view text) const { return text_.substr(at_).starts_with(text); }
  void skip_newline();
  void skip_space();

  const Source& source_;
  std::string_view text_;
  std::size_t at_ = 0;
  bool line_starts_ = true;  // whether what comes next stands at the beginning of a line
  enum class Mode : std::uint8_t { data, output, tag } mode_ = Mode::data;
  std::uint32_t brackets_ = 0;  // open ones inside a tag, where }} ends nothing
  std::optional<Token> pending_;
};

// The characters that a string literal stands for. Errors: malformed.
Text unescape(const Source& source, const Token& literal);

}  // namespace nibble::inline v0::jinja
