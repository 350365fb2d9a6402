// The functions that templates call by name: range, namespace, dict, raise_exception, strftime_now.
// One of the tables of builtins.hpp.
#include <array>
#include <limits>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

constexpr std::size_t longest_range = 100'000;  // as in jinja2's sandbox

Value range(Call& call) {
  const std::int64_t a = integer(call, 0, 0), b = integer(call, 1, 0), step = integer(call, 2, 1);
  if (!call.values[0].is_defined()) call.in.fail(ErrorCode::missing, "range without an end", "an end");
  if (step == 0) call.in.fail(ErrorCode::out_of_range, "a range's step of 0", "any other");
  const std::int64_t from = call.values[1].is_defined() ? a : 0, to = call.values[1].is_defined() ? b : a;
  std::vector<Value> items;
  for (std::int64_t i = from; step < 0 ? i > to : i < to;) {
    if (items.size() == longest_range) {
      call.in.fail(ErrorCode::limit, "a longer range", std::to_string(longest_range) + " numbers");
    }
    call.in.charge();
    items.push_back(Value(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return call.in.list(std::move(items));
}

void add_named(Call& call, Dict& to) {
  if (call.given.listed.size() > 1 || (!call.given.listed.empty() && !call.given.listed[0].dict())) {
    call.in.fail(ErrorCode::wrong_type, "these arguments",
                 "names with values, and one dictionary before them");
  }
  if (!call.given.listed.empty()) to.items = call.given.listed[0].dict()->items;
  for (const auto& [name, value] : call.given.named) {
    const Value key = call.in.text(to_text(name));
    if (Value* const there = call.in.find(to, key)) {
      *there = value;
    } else {
      to.items.emplace_back(key, value);
    }
  }
  call.in.charge(to.items.size() * 8);
}

Value name_space(Call& call) {
  Namespace made;
  add_named(call, made);
  return Value(call.in.heap.add(std::move(made)));
}

Value dict(Call& call) {
  Dict made;
  add_named(call, made);
  return call.in.dict(std::move(made));
}

Value raise_exception(Call& call) {
  call.in.fail(ErrorCode::invalid_argument, to_utf8(to_string(call.in, call.values[0])),
               "messages that the template takes");
}

std::string padded(std::int64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

constexpr std::array<const char*, 12> months = {"January",   "February", "March",    "April",
                                                "May",       "June",     "July",     "August",
                                                "September", "October",  "November", "December"};
constexpr std::array<const char*, 7> days = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday"};

// One directive of strftime in the C locale; empty where there is none of this letter.
std::string date_part(char letter, std::chrono::local_seconds now) {
  using namespace std::chrono;
  const local_days day = floor<std::chrono::days>(now);
  const year_month_day date(day);
  const hh_mm_ss time(now - day);
  const auto month = static_cast<unsigned>(date.month()) - 1;
  const char* const weekday_name = days[weekday(day).c_encoding()];
  const std::int64_t year = static_cast<int>(date.year()), hour = time.hours().count();
  switch (letter) {
    case 'Y': return padded(year, 4);
    case 'y': return padded(year % 100, 2);
    case 'm': return padded(month + 1, 2);
    case 'd': return padded(static_cast<unsigned>(date.day()), 2);
    case 'H': return padded(hour, 2);
    case 'I': return padded((hour + 11) % 12 + 1, 2);
    case 'M': return padded(time.minutes().count(), 2);
    case 'S': return padded(time.seconds().count(), 2);
    case 'p': return hour < 12 ? "AM" : "PM";
    case 'B': return months[month];
    case 'b': return std::string(months[month], 3);
    case 'A': return weekday_name;
    case 'a': return std::string(weekday_name, 3);
    case 'j': return padded((day - local_days(date.year() / January / 1)).count() + 1, 3);
    case 'F': return date_part('Y', now) + "-" + date_part('m', now) + "-" + date_part('d', now);
    case 'T': return date_part('H', now) + ":" + date_part('M', now) + ":" + date_part('S', now);
    case '%': return "%";
    default: return {};
  }
}

// %-d leaves out leading zeros.
Value strftime_now(Call& call) {
  const std::string format = to_utf8(characters(call, 0, U""));
  std::string made;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      made += format[i];
      continue;
    }
    const bool bare = i + 1 < format.size() && format[i + 1] == '-';
    i += bare ? 2 : 1;
    std::string part = i < format.size() ? date_part(format[i], *call.in.now()) : std::string();
    if (part.empty()) call.in.fail(ErrorCode::unsupported, in_quotes(format), "a date in known letters");
    if (bare) part.erase(0, std::min(part.find_first_not_of('0'), part.size() - 1));
    call.in.charge(part.size());
    made += part;
  }
  return call.in.text(to_text(made));
}

Value cycle(Call& call) {
  const auto& listed = call.given.listed;
  if (listed.empty()) call.in.fail(ErrorCode::missing, "cycle of nothing", "at least one value");
  return listed[(*call.self.as<Loop*>())->index % listed.size()];
}

constexpr Builtin table[] = {{"range", range, "start stop step"},
                             {"namespace", name_space, "*"},
                             {"dict", dict, "*"},
                             {"raise_exception", raise_exception, "message"},
                             {"strftime_now", strftime_now, "format"},
                             {"loop.cycle", cycle, "*"}};

}  // namespace

std::span<const Builtin> functions() { return table; }

}  // namespace nibble::inline v0::jinja
