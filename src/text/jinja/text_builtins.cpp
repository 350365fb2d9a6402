// Filters and methods that work on characters.
// One of the tables of builtins.hpp; the methods have Python's names and meaning.
#include <utf8proc.h>

#include <algorithm>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

char32_t upper(char32_t c) {
  return (c & from_input) | static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(plain(c))));
}
char32_t lower(char32_t c) {
  return (c & from_input) | static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(plain(c))));
}
bool is_cased(char32_t c) { return plain(upper(c)) != plain(lower(c)); }
bool is_letter(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(plain(c)));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(plain(c))) == UTF8PROC_CATEGORY_ND;
}

Value mapped(Call& call, char32_t (*map)(char32_t)) {
  Text text = subject(call);
  std::transform(text.begin(), text.end(), text.begin(), map);
  return call.in.text(std::move(text));
}

Value to_upper(Call& call) { return mapped(call, upper); }
Value to_lower(Call& call) { return mapped(call, lower); }

Value capitalize(Call& call) {
  Text text = subject(call);
  std::transform(text.begin(), text.end(), text.begin(), lower);
  if (!text.empty()) text[0] = upper(text[0]);
  return call.in.text(std::move(text));
}

// The first letter of each word, words being what `begins` says.
template <class Begins>
Value titled(Call& call, Begins&& begins) {
  Text text = subject(call);
  bool first = true;
  for (char32_t& c : text) {
    const char32_t was = c;
    c = first ? upper(c) : lower(c);
    first = begins(was);
  }
  return call.in.text(std::move(text));
}

Value title_method(Call& call) {
  return titled(call, [](char32_t c) { return !is_cased(c); });
}

Value title_filter(Call& call) {
  return titled(
      call, [](char32_t c) { return is_space(c) || TextView(U"-({[<").find(plain(c)) != TextView::npos; });
}

bool is_among(char32_t c, const Value& set) {
  return set.text() ? position_of(*set.text(), TextView(&c, 1)) != TextView::npos : is_space(c);
}

Value stripped(Call& call, bool left, bool right) {
  const Text text = subject(call);
  const Value& set = call.values[0];
  if (set.text()) call.in.charge(text.size() * set.text()->size());
  std::size_t begin = 0, end = text.size();
  while (left && begin < end && is_among(text[begin], set)) ++begin;
  while (right && end > begin && is_among(text[end - 1], set)) --end;
  return call.in.text(text.substr(begin, end - begin));
}

Value strip(Call& call) { return stripped(call, true, true); }
Value strip_left(Call& call) { return stripped(call, true, false); }
Value strip_right(Call& call) { return stripped(call, false, true); }

// What a search for `part` in `text` costs.
void charge_search(Call& call, TextView text, TextView part) {
  call.in.charge(text.size() * std::max<std::size_t>(part.size(), 1));
}

Value replace(Call& call) {
  const Text text = subject(call), from = characters(call, 0, U""), to = characters(call, 1, U"");
  const std::int64_t most = call.values[2].is<None>() ? -1 : integer(call, 2, -1);
  charge_search(call, text, from);
  Text made;
  std::size_t done = 0;
  for (std::int64_t n = 0; n != most; ++n) {
    const std::size_t at = position_of(text, from, done + (from.empty() && n > 0 ? 1 : 0));
    if (at == text.npos) break;
    call.in.charge(at - done + to.size());
    made.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  made.append(text, done);
  return call.in.text(std::move(made));
}

// At white space, which counts as one separator however long it is.
std::vector<Value> words(Call& call, TextView text, std::int64_t most, bool from_right) {
  std::vector<Value> parts;
  Text turned(text);
  if (from_right) std::reverse(turned.begin(), turned.end());
  std::size_t at = 0;
  while (true) {
    while (at < turned.size() && is_space(turned[at])) ++at;
    if (at == turned.size()) break;
    std::size_t end = at;
    const bool last = most >= 0 && parts.size() == static_cast<std::size_t>(most);
    while (end < turned.size() && (last || !is_space(turned[end]))) ++end;
    Text part = turned.substr(at, end - at);
    if (from_right) std::reverse(part.begin(), part.end());
    parts.push_back(call.in.text(std::move(part)));
    if (last) break;
    at = end;
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split_by(Call& call, bool from_right) {
  const Text text = subject(call);
  const std::int64_t most = integer(call, 1, -1);
  call.in.charge(text.size());
  if (!call.values[0].text()) return call.in.list(words(call, text, most, from_right));
  const Text separator = characters(call, 0, U"");
  if (separator.empty()) call.in.fail(ErrorCode::out_of_range, "an empty separator", "a longer one");
  charge_search(call, text, separator);
  std::vector<Value> parts;
  std::size_t begin = 0, end = text.size();
  while (most < 0 || parts.size() < static_cast<std::size_t>(most)) {
    const TextView rest = TextView(text).substr(begin, end - begin);
    const std::size_t at = from_right ? last_position_of(rest, separator) : position_of(rest, separator);
    if (at == rest.npos) break;
    if (from_right) {
      parts.push_back(call.in.text(Text(rest.substr(at + separator.size()))));
      end = begin + at;
    } else {
      parts.push_back(call.in.text(Text(rest.substr(0, at))));
      begin += at + separator.size();
    }
  }
  parts.push_back(call.in.text(text.substr(begin, end - begin)));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return call.in.list(std::move(parts));
}

Value split(Call& call) { return split_by(call, false); }
Value split_right(Call& call) { return split_by(call, true); }

Value split_lines(Call& call) {
  const Text text = subject(call);
  const bool keeps_ends = flag(call, 0, false);
  std::vector<Value> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && plain(text[end]) != '\n' && plain(text[end]) != '\r') ++end;
    std::size_t next = std::min(end + 1, text.size());
    if (next < text.size() && plain(text[end]) == '\r' && plain(text[next]) == '\n') ++next;
    lines.push_back(call.in.text(text.substr(begin, (keeps_ends ? next : end) - begin)));
    begin = next;
  }
  return call.in.list(std::move(lines));
}

// Whether the subject has the first argument, or one of a tuple of them, at one end.
Value has_end(Call& call, bool at_front) {
  const Text& text = *call.self.text();
  const List* several = call.values[0].list();
  for (const Value& part : several ? several->items : std::vector<Value>{call.values[0]}) {
    if (!part.text()) {
      call.in.fail(ErrorCode::wrong_type, std::string(kind_name(part)) + " as an argument", "a string");
    }
    const Text& end = *part.text();
    call.in.charge(end.size());
    if (end.size() > text.size()) continue;
    const std::size_t at = at_front ? 0 : text.size() - end.size();
    if (same(TextView(text).substr(at, end.size()), end)) return Value(true);
  }
  return Value(false);
}

Value starts_with(Call& call) { return has_end(call, true); }
Value ends_with(Call& call) { return has_end(call, false); }

Value without_end(Call& call, bool at_front) {
  const Text& text = *call.self.text();
  if (!*has_end(call, at_front).as<bool>()) return call.self;
  const std::size_t size = characters(call, 0, U"").size();
  return call.in.text(at_front ? text.substr(size) : text.substr(0, text.size() - size));
}

Value without_prefix(Call& call) { return without_end(call, true); }
Value without_suffix(Call& call) { return without_end(call, false); }

Value find_text(Call& call) {
  const Text& text = *call.self.text();
  const Text part = characters(call, 0, U"");
  charge_search(call, text, part);
  const std::size_t at = position_of(text, part);
  return Value(at == text.npos ? std::int64_t{-1} : static_cast<std::int64_t>(at));
}

Value count_text(Call& call) {
  const Text& text = *call.self.text();
  const Text part = characters(call, 0, U"");
  charge_search(call, text, part);
  std::int64_t n = 0;
  for (std::size_t at = 0; (at = position_of(text, part, at)) != text.npos;
       at += std::max<std::size_t>(part.size(), 1))
    ++n;
  return Value(n);
}

template <bool (*holds)(char32_t)>
Value all_are(Call& call) {
  const Text& text = *call.self.text();
  call.in.charge(text.size());
  return Value(!text.empty() && std::all_of(text.begin(), text.end(), holds));
}

bool is_alphanumeric(char32_t c) { return is_letter(c) || is_decimal(c); }

template <char32_t (*map)(char32_t)>
Value is_all(Call& call) {
  const Text& text = *call.self.text();
  call.in.charge(text.size());
  return Value(std::any_of(text.begin(), text.end(), is_cased) &&
               std::all_of(text.begin(), text.end(), [](char32_t c) { return map(c) == c; }));
}

Value join_method(Call& call) {
  if (!call.values[0].list()) {
    call.in.fail(ErrorCode::wrong_type, std::string(kind_name(call.values[0])), "a list to join");
  }
  Text made;
  for (const Value& item : call.values[0].list()->items) {
    if (!item.text()) call.in.fail(ErrorCode::wrong_type, std::string(kind_name(item)), "strings to join");
    call.in.charge(item.text()->size() + call.self.text()->size());
    if (&item != call.values[0].list()->items.data()) made += *call.self.text();
    made += *item.text();
  }
  return call.in.text(std::move(made));
}

// str.format with plain fields: {}, {0} and {name}.
Value format(Call& call) {
  const Text& text = *call.self.text();
  Text made;
  std::size_t next = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char32_t c = plain(text[at]);
    const bool doubled = at + 1 < text.size() && plain(text[at + 1]) == c;
    if ((c != '{' && c != '}') || doubled) {
      made += text[at];
      if (c == '{' || c == '}') ++at;
      continue;
    }
    const std::size_t close = position_of(text, U"}", at);
    const std::string field =
        close == text.npos ? "}" : to_utf8(TextView(text).substr(at + 1, close - at - 1));
    const auto named = std::ranges::find(call.given.named, std::string_view(field), &NamedValue::first);
    const bool counts = std::ranges::all_of(field, [](char digit) { return digit >= '0' && digit <= '9'; });
    if (named != call.given.named.end()) {
      append_string(call.in, named->second, made);
    } else {
      const std::size_t i = field.empty()                ? next++
                            : field.size() < 4 && counts ? std::stoul(field)
                                                         : text.npos;
      if (c == '}' || i >= call.given.listed.size()) {
        call.in.fail(ErrorCode::unsupported, "the field " + in_quotes(field),
                     "{}, {0} or {name} of an argument");
      }
      append_string(call.in, call.given.listed[i], made);
    }
    at = close;
  }
  return call.in.text(std::move(made));
}

// Spaces before every line but the first, and before lines that are empty only on request.
Value indent(Call& call) {
  const Text text = subject(call);
  const bool first = flag(call, 1, false), blank = flag(call, 2, false);
  Text margin;
  if (call.values[0].text()) {
    margin = characters(call, 0, U"");
  } else {
    const auto width = static_cast<std::size_t>(std::max<std::int64_t>(integer(call, 0, 4), 0));
    call.in.charge(width);
    margin.assign(width, U' ');
  }
  Text made = first ? margin : Text();
  for (std::size_t at = 0; at < text.size(); ++at) {
    made += text[at];
    const bool ends = at + 1 == text.size() || plain(text[at + 1]) == '\n';
    if (plain(text[at]) != '\n' || (ends && !blank)) continue;
    call.in.charge(margin.size());
    made += margin;
  }
  return call.in.text(std::move(made));
}

constexpr Builtin filters[] = {{"trim", strip, "chars"},
                               {"upper", to_upper},
                               {"lower", to_lower},
                               {"capitalize", capitalize},
                               {"title", title_filter},
                               {"replace", replace, "old new count"},
                               {"indent", indent, "width first blank"}};

constexpr Builtin methods[] = {{"strip", strip, "chars"},
                               {"lstrip", strip_left, "chars"},
                               {"rstrip", strip_right, "chars"},
                               {"split", split, "sep maxsplit"},
                               {"rsplit", split_right, "sep maxsplit"},
                               {"splitlines", split_lines, "keepends"},
                               {"startswith", starts_with, "prefix"},
                               {"endswith", ends_with, "suffix"},
                               {"removeprefix", without_prefix, "prefix"},
                               {"removesuffix", without_suffix, "suffix"},
                               {"replace", replace, "old new count"},
                               {"upper", to_upper},
                               {"lower", to_lower},
                               {"capitalize", capitalize},
                               {"title", title_method},
                               {"find", find_text, "sub"},
                               {"count", count_text, "sub"},
                               {"join", join_method, "iterable"},
                               {"format", format, "*"},
                               {"isalpha", all_are<is_letter>},
                               {"isdigit", all_are<is_decimal>},
                               {"isalnum", all_are<is_alphanumeric>},
                               {"isspace", all_are<is_space>},
                               {"isupper", is_all<upper>},
                               {"islower", is_all<lower>}};

}  // namespace

std::span<const Builtin> text_filters() { return filters; }
std::span<const Builtin> text_methods() { return methods; }

}  // namespace nibble::inline v0::jinja
