// The lexer: the same cuts and the same white space as jinja2 with trim_blocks and lstrip_blocks.
// See lexer.hpp.
#include "src/text/jinja/lexer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "src/file/in_quotes.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0::jinja {

namespace {

constexpr std::array<std::string_view, 27> symbols = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "*",
                                                      "/",  "%",  "~",  "(",  ")",  "[",  "]", "{", "}",
                                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";", "!"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Where the white space that starts at `at` ends.
std::size_t after_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(utf8_character(text, at))) at += utf8_length(text[at]);
  return at;
}

bool is_tag(std::string_view two) { return two == "{{" || two == "{%" || two == "{#"; }

std::string_view without_space_behind(std::string_view text) {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = is_space(utf8_character(text, at));
    at += utf8_length(text[at]);
    if (!space) kept = at;
  }
  return text.substr(0, kept);
}

}  // namespace

Error Source::error(ErrorCode code, std::size_t offset, std::string found, std::string allowed) const {
  const std::string_view before = std::string_view(text).substr(0, offset);
  const auto lines = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const std::string_view line = before.substr(before.rfind('\n') + 1);
  return Error({.code = code,
                .source = name,
                .position = at_line(lines + 1, to_text(line).size() + 1),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

Lexer::Lexer(const Source& source) : source_(source), text_(source.text) {
  if (text_.ends_with('\n')) text_.remove_suffix(1);
}

Token Lexer::next() {
  if (pending_) return *std::exchange(pending_, std::nullopt);
  return mode_ == Mode::data ? data() : inside();
}

Token Lexer::take(Token::Kind kind, std::size_t length) {
  const Token token = {kind, static_cast<std::uint32_t>(at_), text_.substr(at_, length)};
  at_ += length;
  return token;
}

void Lexer::skip_space() { at_ = after_space(text_, at_); }

// trim_blocks: the newline right behind a tag goes with it.
void Lexer::skip_newline() {
  line_starts_ = at("\n");
  if (line_starts_) ++at_;
}

// The text between two tags. lstrip_blocks: white space between a line's beginning and a tag goes, unless
// the tag is an output.
std::string_view Lexer::before_tag(std::size_t begin, std::size_t open) const {
  const std::string_view data = text_.substr(begin, open - begin);
  const char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
  if (sign == '-') return without_space_behind(data);
  if (sign == '+' || text_[open + 1] == '{') return data;
  const std::size_t line = data.rfind('\n') + 1;
  const bool blank = after_space(data, line) == data.size();
  return blank && (line > 0 || line_starts_) ? data.substr(0, line) : data;
}

Token Lexer::data() {
  while (true) {
    const std::size_t begin = at_;
    std::size_t open = text_.find('{', begin);
    while (open < text_.size() && !is_tag(text_.substr(open, 2))) open = text_.find('{', open + 1);
    if (open == text_.npos) {
      return take(begin == text_.size() ? Token::Kind::end : Token::Kind::data, text_.size() - begin);
    }
    const std::string_view before = before_tag(begin, open);
    line_starts_ = false;
    pending_ = open_tag(open);
    if (!before.empty()) return {Token::Kind::data, static_cast<std::uint32_t>(begin), before};
    if (pending_) return *std::exchange(pending_, std::nullopt);
  }
}

// What a tag begins with: nothing of a comment, the text of a raw block.
std::optional<Token> Lexer::open_tag(std::size_t open) {
  const char kind = text_[open + 1];
  at_ = open + 2;
  if (at("-") || at("+")) ++at_;
  if (kind == '#') {
    skip_comment();
    return std::nullopt;
  }
  const std::size_t word = after_space(text_, at_);
  if (kind == '%' && text_.substr(word, 3) == "raw") {
    const std::size_t behind = after_space(text_, word + 3);
    const std::string_view rest = text_.substr(behind);
    if (rest.starts_with("%}")) return raw(behind + 2);
    if (rest.starts_with("-%}")) return raw(after_space(text_, behind + 3));
  }
  mode_ = kind == '{' ? Mode::output : Mode::tag;
  brackets_ = 0;
  return Token{mode_ == Mode::output ? Token::Kind::output_begin : Token::Kind::tag_begin,
               static_cast<std::uint32_t>(open), text_.substr(open, 2)};
}

void Lexer::skip_comment() {
  const std::size_t begin = at_, close = text_.find("#}", at_);
  if (close == text_.npos) throw source_.error(ErrorCode::malformed, begin, "an open comment", "#}");
  at_ = close + 2;
  const char sign = close > begin ? text_[close - 1] : ' ';
  if (sign == '-') return skip_space();
  if (sign != '+') skip_newline();
}

// Text in which nothing is a tag until endraw.
std::optional<Token> Lexer::raw(std::size_t body) {
  for (std::size_t open = body; (open = text_.find("{%", open)) != text_.npos; open += 2) {
    at_ = open + 2;
    if (at("-") || at("+")) ++at_;
    skip_space();
    if (!at("endraw")) continue;
    at_ += 6;
    skip_space();
    if (!at("%}") && !at("-%}") && !at("+%}")) continue;
    const std::string_view data = before_tag(body, open);
    mode_ = Mode::tag;
    close_tag();
    if (data.empty()) return std::nullopt;
    return Token{Token::Kind::data, static_cast<std::uint32_t>(body), data};
  }
  throw source_.error(ErrorCode::malformed, body, "an open raw block", "{% endraw %}");
}

// The end of the tag, where it stands here.
std::optional<Token> Lexer::close_tag() {
  const std::string_view close = mode_ == Mode::output ? "}}" : "%}";
  const char sign = at("-") || (mode_ == Mode::tag && at("+")) ? text_[at_] : ' ';
  const std::size_t length = sign == ' ' ? 2 : 3;
  if (!text_.substr(at_ + length - 2).starts_with(close)) return std::nullopt;
  const Token token = take(mode_ == Mode::output ? Token::Kind::output_end : Token::Kind::tag_end, length);
  line_starts_ = false;
  if (sign == '-') {
    skip_space();
  } else if (sign == ' ' && mode_ == Mode::tag) {
    skip_newline();
  }
  mode_ = Mode::data;
  return token;
}

Token Lexer::inside() {
  skip_space();
  if (at_ == text_.size()) throw source_.error(ErrorCode::malformed, at_, "the end inside a tag", "its end");
  if (brackets_ == 0) {
    if (const auto token = close_tag()) return *token;
  }
  const char c = text_[at_];
  if (is_digit(c)) return take_numeral();
  if (c == '"' || c == '\'') return take_string();
  if (is_word(c)) {
    const auto end = std::find_if_not(text_.begin() + static_cast<std::ptrdiff_t>(at_), text_.end(), is_word);
    return take(Token::Kind::name, static_cast<std::size_t>(end - text_.begin()) - at_);
  }
  return take_symbol();
}

Token Lexer::take_string() {
  const char quote = text_[at_];
  std::size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) throw source_.error(ErrorCode::malformed, at_, "an open string", {quote});
  return take(Token::Kind::string, end + 1 - at_);
}

Token Lexer::take_numeral() {
  const auto digits = [&](std::size_t from) {
    while (from < text_.size() && (is_digit(text_[from]) || text_[from] == '_')) ++from;
    return from;
  };
  std::size_t end = digits(at_);
  Token::Kind kind = Token::Kind::integer;
  if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
    kind = Token::Kind::number;
    end = digits(end + 1);
  }
  if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    std::size_t exponent = end + 1;
    if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
    if (exponent < text_.size() && is_digit(text_[exponent])) {
      kind = Token::Kind::number;
      end = digits(exponent);
    }
  }
  return take(kind, end - at_);
}

Token Lexer::take_symbol() {
  const auto symbol = std::find_if(symbols.begin(), symbols.end(), [&](std::string_view s) { return at(s); });
  if (symbol == symbols.end()) {
    const std::string_view found = text_.substr(at_, utf8_length(text_[at_]));
    throw source_.error(ErrorCode::malformed, at_, in_quotes(found), "a name, a value or an operator");
  }
  const char c = symbol->front();
  if (c == '(' || c == '[' || c == '{') ++brackets_;
  if ((c == ')' || c == ']' || c == '}') && brackets_-- == 0) {
    throw source_.error(ErrorCode::malformed, at_, in_quotes(*symbol), "an open bracket before it");
  }
  return take(Token::Kind::symbol, symbol->size());
}

namespace {

// The letters that stand for one character behind a backslash.
constexpr std::string_view escaped = "\\'\"abfnrtv";
constexpr std::string_view meant = "\\'\"\a\b\f\n\r\t\v";

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// The character of up to `length` digits, taken from the front of `rest`; nothing where there are too few.
std::optional<char32_t> take_code(std::string_view& rest, std::size_t least, std::size_t length, int base) {
  char32_t code = 0;
  std::size_t n = 0;
  while (n < length && n < rest.size() && digit_value(rest[n]) < base) {
    code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit_value(rest[n++]));
  }
  rest.remove_prefix(n);
  const bool is_character = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return n >= least && is_character ? std::optional(code) : std::nullopt;
}

// The character that an escape stands for, its backslash gone; unknown escapes stay as they are.
std::optional<char32_t> take_escape(std::string_view& rest) {
  const char c = rest.front();
  if (c >= '0' && c <= '7') return take_code(rest, 1, 3, 8);
  if (const std::size_t i = escaped.find(c); i != escaped.npos) {
    rest.remove_prefix(1);
    return static_cast<char32_t>(meant[i]);
  }
  if (c != 'x' && c != 'u' && c != 'U') return U'\\';
  rest.remove_prefix(1);
  const std::size_t length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
  return take_code(rest, length, length, 16);
}

}  // namespace

Text unescape(const Source& source, const Token& literal) {
  std::string_view rest = literal.text.substr(1, literal.text.size() - 2);
  Text text;
  text.reserve(rest.size());
  while (!rest.empty()) {
    if (rest.starts_with("\\\n")) {
      rest.remove_prefix(2);
    } else if (rest.front() == '\\') {
      rest.remove_prefix(1);
      const auto c = take_escape(rest);
      if (!c)
        throw source.error(ErrorCode::malformed, literal.offset, "an escape", "one that is a character");
      text += *c;
    } else {
      text += utf8_character(rest, 0);
      rest.remove_prefix(utf8_length(rest.front()));
    }
  }
  return text;
}

}  // namespace nibble::inline v0::jinja
