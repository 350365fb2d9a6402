// Truth, names, and the searches in texts.
// See value.hpp.
#include "src/text/jinja/value.hpp"

#include <algorithm>

#include "src/text/utf8.hpp"

namespace nibble::inline v0::jinja {

namespace {

bool same_character(char32_t a, char32_t b) noexcept { return plain(a) == plain(b); }

}  // namespace

bool is_true(const Value& value) noexcept {
  if (!value.is_defined() || value.is<None>()) return false;
  if (value.is<double>()) return *value.as<double>() != 0;
  if (value.is_number()) return integer_of(value) != 0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  return true;
}

std::string_view kind_name(const Value& value) noexcept {
  if (!value.is_defined()) return "something undefined";
  if (value.is<None>()) return "none";
  if (value.is<bool>()) return "a boolean";
  if (value.is<std::int64_t>()) return "an integer";
  if (value.is<double>()) return "a number";
  if (value.text()) return "a string";
  if (value.list()) return "a list";
  if (value.dict()) return "a dictionary";
  if (value.is<Namespace*>()) return "a namespace";
  return value.is<Loop*>() ? "a loop" : "a function";
}

std::int64_t integer_of(const Value& value) noexcept {
  if (const bool* boolean = value.as<bool>()) return *boolean ? 1 : 0;
  return *value.as<std::int64_t>();
}

double number_of(const Value& value) noexcept {
  if (const double* number = value.as<double>()) return *number;
  return static_cast<double>(integer_of(value));
}

bool same(TextView a, TextView b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_character);
}

bool same(TextView a, std::string_view ascii) noexcept {
  return std::equal(a.begin(), a.end(), ascii.begin(), ascii.end(),
                    [](char32_t x, char y) { return plain(x) == static_cast<unsigned char>(y); });
}

bool less(TextView a, TextView b) noexcept {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](char32_t x, char32_t y) { return plain(x) < plain(y); });
}

std::size_t position_of(TextView text, TextView part, std::size_t from) noexcept {
  if (from > text.size()) return TextView::npos;
  const auto rest = text.substr(from);
  const auto at = std::search(rest.begin(), rest.end(), part.begin(), part.end(), same_character);
  return at == rest.end() && !part.empty() ? TextView::npos
                                           : from + static_cast<std::size_t>(at - rest.begin());
}

std::size_t last_position_of(TextView text, TextView part) noexcept {
  const auto at = std::find_end(text.begin(), text.end(), part.begin(), part.end(), same_character);
  return at == text.end() && !part.empty() ? TextView::npos : static_cast<std::size_t>(at - text.begin());
}

bool is_space(char32_t c) noexcept {
  c = plain(c);
  return is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

Text to_text(std::string_view utf8, char32_t mark) {
  Text text;
  text.reserve(utf8.size());
  for (std::size_t at = 0; at < utf8.size(); at += utf8_length(utf8[at])) {
    text += utf8_character(utf8, at) | mark;
  }
  return text;
}

std::string to_utf8(TextView text) {
  std::string utf8;
  utf8.reserve(text.size());
  for (const char32_t c : text) append_utf8(utf8, plain(c));
  return utf8;
}

}  // namespace nibble::inline v0::jinja
