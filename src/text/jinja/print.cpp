// Python's str, repr and json.dumps, character by character.
// See print.hpp.
#include "src/text/jinja/print.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace nibble::inline v0::jinja {

namespace {

void append(std::string_view ascii, Text& out) { out.append(ascii.begin(), ascii.end()); }

void append_hex(char32_t c, int digits, Text& out) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += static_cast<unsigned char>("0123456789abcdef"[c >> shift & 15]);
  }
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

void append_repr(TextView text, Text& out) {
  const bool has_single = position_of(text, U"'") != text.npos,
             has_double = position_of(text, U"\"") != text.npos;
  const char32_t quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for (const char32_t marked : text) {
    const char32_t c = plain(marked);
    const auto letter = std::u32string_view(U"\n\r\t").find(c);
    if (c == quote || c == '\\') {
      out += {U'\\', marked};
    } else if (letter != std::u32string_view::npos) {
      out += {U'\\', U"nrt"[letter]};
    } else if (is_printable(c)) {
      out += marked;
    } else {
      const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
      out += {U'\\', digits == 2 ? U'x' : digits == 4 ? U'u' : U'U'};
      append_hex(c, digits, out);
    }
  }
  out += quote;
}

void append_repr(Interpreter& in, const Value& value, Text& out);

void append_items(Interpreter& in, const std::vector<Value>& items, Text& out) {
  for (const Value& item : items) {
    if (&item != items.data()) append(", ", out);
    append_repr(in, item, out);
  }
}

void append_repr(Interpreter& in, const Value& value, Text& out) {
  const Interpreter::Level level(in);
  if (const Text* text = value.text()) {
    in.charge(text->size());
    append_repr(*text, out);
  } else if (const List* list = value.list()) {
    out += list->is_tuple ? U'(' : U'[';
    append_items(in, list->items, out);
    if (list->is_tuple && list->items.size() == 1) out += U',';
    out += list->is_tuple ? U')' : U']';
  } else if (const Dict* dict = value.dict()) {
    out += U'{';
    for (const auto& pair : dict->items) {
      if (&pair != dict->items.data()) append(", ", out);
      append_repr(in, pair.first, out);
      append(": ", out);
      append_repr(in, pair.second, out);
    }
    out += U'}';
  } else if (!value.is_defined()) {
    append("Undefined", out);
  } else {
    append_string(in, value, out);
  }
}

void append_json_string(TextView text, bool ascii, Text& out) {
  out += U'"';
  for (const char32_t marked : text) {
    const char32_t c = plain(marked);
    const auto letter = std::u32string_view(U"\"\\\n\r\t\b\f").find(c);
    if (letter != std::u32string_view::npos) {
      out += {U'\\', (marked & from_input) | U"\"\\nrtbf"[letter]};
    } else if (c >= 0x20 && (c < 0x7F || !ascii)) {
      out += marked;
    } else if (c < 0x10000) {
      append("\\u", out);
      append_hex(c, 4, out);
    } else {
      append("\\u", out);
      append_hex(0xD800 + ((c - 0x10000) >> 10), 4, out);
      append("\\u", out);
      append_hex(0xDC00 + ((c - 0x10000) & 0x3FF), 4, out);
    }
  }
  out += U'"';
}

// What stands between brackets: `n` items, each written by `item`.
template <class Item>
void append_json_items(Interpreter& in, std::size_t n, const JsonStyle& style, std::size_t depth, Text& out,
                       Item&& item) {
  const auto new_line = [&](std::size_t levels) {
    if (!style.indent) return;
    in.charge(*style.indent * levels);
    out += U'\n';
    out.append(*style.indent * levels, U' ');
  };
  for (std::size_t i = 0; i < n; ++i) {
    in.charge(style.item_separator.size() + style.key_separator.size());
    if (i > 0) out += style.item_separator;
    new_line(depth + 1);
    item(i);
  }
  if (n > 0) new_line(depth);
}

void append_json_key(Interpreter& in, const Value& key, const JsonStyle& style, Text& out) {
  if (const Text* text = key.text()) {
    in.charge(text->size());
    return append_json_string(*text, style.ascii, out);
  }
  if (!key.is_number() && !key.is<None>()) {
    in.fail(ErrorCode::wrong_type, std::string(kind_name(key)) + " as a key", "a string or a number");
  }
  out += U'"';
  append_json(in, key, style, 0, out);
  out += U'"';
}

}  // namespace

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto written = std::to_chars(buffer, std::end(buffer), number, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(written.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(buffer + e + (text[e + 1] == '+' ? 2 : 1), written.ptr, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, std::end(buffer), number, std::chars_format::fixed);
  std::string plain_text(buffer, fixed.ptr);
  return plain_text.find('.') == plain_text.npos ? plain_text + ".0" : plain_text;
}

void append_string(Interpreter& in, const Value& value, Text& out) {
  in.charge();
  if (const Text* text = value.text()) {
    in.charge(text->size());
    out += *text;
  } else if (value.is<None>()) {
    append("None", out);
  } else if (const bool* boolean = value.as<bool>()) {
    append(*boolean ? "True" : "False", out);
  } else if (const std::int64_t* integer = value.as<std::int64_t>()) {
    append(std::to_string(*integer), out);
  } else if (const double* number = value.as<double>()) {
    append(number_text(*number), out);
  } else if (value.list() || value.dict()) {
    append_repr(in, value, out);
  } else if (value.is_defined()) {
    append("<" + std::string(kind_name(value).substr(2)) + ">", out);
  }
}

Text to_string(Interpreter& in, const Value& value) {
  Text out;
  append_string(in, value, out);
  return out;
}

void append_json(Interpreter& in, const Value& value, const JsonStyle& style, std::size_t depth, Text& out) {
  const Interpreter::Level level(in);
  in.charge();
  if (const Text* text = value.text()) {
    in.charge(text->size());
    append_json_string(*text, style.ascii, out);
  } else if (const List* list = value.list()) {
    out += U'[';
    append_json_items(in, list->items.size(), style, depth, out,
                      [&](std::size_t i) { append_json(in, list->items[i], style, depth + 1, out); });
    out += U']';
  } else if (const Dict* dict = value.dict()) {
    auto items = dict->items;
    in.charge(items.size());
    if (style.sorted) {
      std::stable_sort(items.begin(), items.end(),
                       [&](const auto& a, const auto& b) { return in.less(a.first, b.first); });
    }
    out += U'{';
    append_json_items(in, items.size(), style, depth, out, [&](std::size_t i) {
      append_json_key(in, items[i].first, style, out);
      out += style.key_separator;
      append_json(in, items[i].second, style, depth + 1, out);
    });
    out += U'}';
  } else if (value.is<None>()) {
    append("null", out);
  } else if (const bool* boolean = value.as<bool>()) {
    append(*boolean ? "true" : "false", out);
  } else if (const double* number = value.as<double>(); number && !std::isfinite(*number)) {
    append(std::isnan(*number) ? "NaN" : *number < 0 ? "-Infinity" : "Infinity", out);
  } else if (value.is_number()) {
    append_string(in, value, out);
  } else {
    in.fail(ErrorCode::wrong_type, std::string(kind_name(value)), "something that JSON can write");
  }
}

}  // namespace nibble::inline v0::jinja
