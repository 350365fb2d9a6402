// Filters that work on lists and dictionaries, and their methods.
// One of the tables of builtins.hpp.
#include <algorithm>
#include <charconv>

#include "src/file/in_quotes.hpp"
#include "src/text/jinja/print.hpp"

namespace nibble::inline v0::jinja {

namespace {

Value pair_of(Call& call, const std::pair<Value, Value>& pair) {
  return call.in.list({pair.first, pair.second}, true);
}

// "a.b.0": attributes of attributes.
Value value_at(Call& call, Value object, const Value& path) {
  if (!path.text()) return call.in.item(object, path);
  const std::string names = to_utf8(*path.text());
  call.in.charge(names.size());
  for (std::string_view rest = names; !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    std::int64_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool counts = read.ec == std::errc() && read.ptr == name.data() + name.size();
    object = call.in.item(object, counts ? Value(index) : call.in.text(to_text(name)));
  }
  return object;
}

// What an item is sorted or compared by: itself or an attribute, in lower case unless case counts.
Value key_of(Call& call, const Value& item, const Value& path, bool case_counts) {
  const bool whole = !path.is_defined() || path.is<None>();
  const Value key = whole ? item : value_at(call, item, path);
  if (case_counts || !key.text()) return key;
  return call.in.call(*find_filter("lower"), key, {});
}

void sort_by_keys(Call& call, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? call.in.less(b.first, a.first) : call.in.less(a.first, b.first);
  });
}

std::vector<std::pair<Value, Value>> keyed_items(Call& call, const Value& path, bool case_counts) {
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : call.in.items_of(call.self)) {
    keyed.emplace_back(key_of(call, item, path, case_counts), item);
  }
  return keyed;
}

Value length(Call& call) {
  std::size_t n = 0;
  if (const Text* text = call.self.text()) {
    n = text->size();
  } else if (const List* list = call.self.list()) {
    n = list->items.size();
  } else if (const Dict* dict = call.self.dict()) {
    n = dict->items.size();
  } else if (call.self.is_defined()) {
    call.in.fail(ErrorCode::wrong_type, "the length of " + std::string(kind_name(call.self)),
                 "a string, a list or a dictionary");
  }
  return Value(static_cast<std::int64_t>(n));
}

Value to_list(Call& call) { return call.in.list(call.in.items_of(call.self)); }

Value items(Call& call) {
  std::vector<Value> pairs;
  if (const Dict* dict = call.self.dict()) {
    for (const auto& pair : dict->items) pairs.push_back(pair_of(call, pair));
  } else if (call.self.is_defined()) {
    call.in.fail(ErrorCode::wrong_type, "items of " + std::string(kind_name(call.self)), "a dictionary");
  }
  return call.in.list(std::move(pairs));
}

Value first(Call& call) {
  const std::vector<Value> list = call.in.items_of(call.self);
  return list.empty() ? Value() : list.front();
}

Value last(Call& call) {
  const std::vector<Value> list = call.in.items_of(call.self);
  return list.empty() ? Value() : list.back();
}

Value reverse(Call& call) {
  if (const Text* text = call.self.text()) return call.in.text(Text(text->rbegin(), text->rend()));
  std::vector<Value> list = call.in.items_of(call.self);
  std::reverse(list.begin(), list.end());
  return call.in.list(std::move(list));
}

Value join(Call& call) {
  const Text separator = to_string(call.in, call.values[0]);
  Text made;
  bool first_item = true;
  for (const Value& item : call.in.items_of(call.self)) {
    call.in.charge(separator.size());
    if (!std::exchange(first_item, false)) made += separator;
    append_string(call.in, call.values[1].is_defined() ? value_at(call, item, call.values[1]) : item, made);
  }
  return call.in.text(std::move(made));
}

Value sort(Call& call) {
  auto keyed = keyed_items(call, call.values[2], flag(call, 1, false));
  sort_by_keys(call, keyed, flag(call, 0, false));
  std::vector<Value> sorted;
  for (const auto& [key, item] : keyed) sorted.push_back(item);
  return call.in.list(std::move(sorted));
}

Value sort_dict(Call& call) {
  if (!call.self.dict()) {
    call.in.fail(ErrorCode::wrong_type, std::string(kind_name(call.self)), "a dictionary");
  }
  const bool by_value = call.values[1].text() && to_utf8(*call.values[1].text()) == "value";
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& pair : call.self.dict()->items) {
    const Value key = key_of(call, by_value ? pair.second : pair.first, {}, flag(call, 0, false));
    keyed.emplace_back(key, pair_of(call, pair));
  }
  sort_by_keys(call, keyed, flag(call, 2, false));
  std::vector<Value> sorted;
  for (const auto& [key, pair] : keyed) sorted.push_back(pair);
  return call.in.list(std::move(sorted));
}

Value unique(Call& call) {
  std::vector<Value> keys, kept;
  for (const auto& keyed : keyed_items(call, call.values[1], flag(call, 0, false))) {
    const Value key = keyed.first;
    const auto seen = std::find_if(keys.begin(), keys.end(), [&](const Value& other) {
      call.in.charge();
      return call.in.equal(other, key);
    });
    if (seen != keys.end()) continue;
    keys.push_back(key);
    kept.push_back(keyed.second);
  }
  return call.in.list(std::move(kept));
}

Value extreme(Call& call, bool least) {
  auto keyed = keyed_items(call, call.values[1], flag(call, 0, false));
  if (keyed.empty()) return {};
  std::size_t best = 0;
  for (std::size_t i = 1; i < keyed.size(); ++i) {
    const auto &a = keyed[least ? i : best].first, &b = keyed[least ? best : i].first;
    if (call.in.less(a, b)) best = i;
  }
  return keyed[best].second;
}

Value minimum(Call& call) { return extreme(call, true); }
Value maximum(Call& call) { return extreme(call, false); }

// The items of a list, a dictionary or a string, and none of what is false.
std::vector<Value> items_if_true(Call& call) {
  return is_true(call.self) ? call.in.items_of(call.self) : std::vector<Value>();
}

// The arguments behind the first `n`.
Arguments rest_of(const Arguments& all, std::size_t n) {
  Arguments rest = all;
  rest.listed.erase(rest.listed.begin(), rest.listed.begin() + static_cast<std::ptrdiff_t>(n));
  return rest;
}

const Builtin& named_builtin(Call& call, const Value& name, const Builtin* (*find)(std::string_view),
                             std::string_view kind) {
  const Builtin* found = name.text() ? find(to_utf8(*name.text())) : nullptr;
  if (!found) {
    const std::string shown = name.text() ? in_quotes(to_utf8(*name.text())) : std::string(kind_name(name));
    call.in.fail(ErrorCode::unsupported, shown, "a known " + std::string(kind));
  }
  return *found;
}

Value map_attribute(Call& call) {
  Value path, absent;
  for (const auto& [name, value] : call.given.named) {
    if (name == "attribute") path = value;
    if (name == "default") absent = value;
  }
  if (!path.is_defined()) call.in.fail(ErrorCode::missing, "map without a filter", "a filter or attribute=");
  std::vector<Value> made;
  for (const Value& item : items_if_true(call)) {
    const Value value = value_at(call, item, path);
    made.push_back(value.is_defined() ? value : absent);
  }
  return call.in.list(std::move(made));
}

Value map(Call& call) {
  const Interpreter::Level level(call.in);  // beside that of the call, for a frame as large again
  if (call.given.listed.empty()) return map_attribute(call);
  std::vector<Value> made;
  const Builtin& filter = named_builtin(call, call.given.listed[0], find_filter, "filter");
  const Arguments rest = rest_of(call.given, 1);
  for (const Value& item : items_if_true(call)) made.push_back(call.in.call(filter, item, rest));
  return call.in.list(std::move(made));
}

// The items, or their attribute, for which a test holds, or that are true where none is named.
Value selected(Call& call, bool keeps, bool by_attribute) {
  const auto& listed = call.given.listed;
  const std::size_t n = by_attribute ? 1 : 0;
  if (listed.size() < n) call.in.fail(ErrorCode::missing, "no attribute", "an attribute's name");
  const Builtin* test = nullptr;
  if (listed.size() > n) test = &named_builtin(call, listed[n], find_test, "test");
  const Arguments rest = rest_of(call.given, test ? n + 1 : n);
  std::vector<Value> kept;
  for (const Value& item : items_if_true(call)) {
    const Value value = by_attribute ? value_at(call, item, listed[0]) : item;
    const bool holds = is_true(test ? call.in.call(*test, value, rest) : value);
    if (holds == keeps) kept.push_back(item);
  }
  return call.in.list(std::move(kept));
}

Value select(Call& call) { return selected(call, true, false); }
Value reject(Call& call) { return selected(call, false, false); }
Value select_by(Call& call) { return selected(call, true, true); }
Value reject_by(Call& call) { return selected(call, false, true); }

Value values(Call& call) {
  std::vector<Value> made;
  for (const auto& [key, value] : call.self.dict()->items) made.push_back(value);
  return call.in.list(std::move(made));
}

Value get(Call& call) {
  const Value* found = call.in.find(*call.self.dict(), call.values[0]);
  if (found) return *found;
  return call.values[1].is_defined() ? call.values[1] : Value(None{});
}

// Changing a list is what the sandbox of transformers forbids and some templates do all the same.
Value append(Call& call) {
  call.in.charge(4);
  call.self.list()->items.push_back(call.values[0]);
  return Value(None{});
}

Value extend(Call& call) {
  const std::vector<Value> more = call.in.items_of(call.values[0]);
  call.self.list()->items.insert(call.self.list()->items.end(), more.begin(), more.end());
  return Value(None{});
}

Value pop(Call& call) {
  auto& list = call.self.list()->items;
  const auto size = static_cast<std::int64_t>(list.size());
  std::int64_t index = integer(call, 0, -1);
  if (index < 0) index += size;
  if (index < 0 || index >= size)
    call.in.fail(ErrorCode::out_of_range, "pop of an item that is not there", "one");
  call.in.charge(list.size());
  const auto at = list.begin() + static_cast<std::ptrdiff_t>(index);
  const Value taken = *at;
  list.erase(at);
  return taken;
}

Value count(Call& call) {
  std::int64_t n = 0;
  for (const Value& item : call.self.list()->items) {
    call.in.charge();
    n += call.in.equal(item, call.values[0]) ? 1 : 0;
  }
  return Value(n);
}

Value index(Call& call) {
  const auto& list = call.self.list()->items;
  for (std::size_t i = 0; i < list.size(); ++i) {
    call.in.charge();
    if (call.in.equal(list[i], call.values[0])) return Value(static_cast<std::int64_t>(i));
  }
  call.in.fail(ErrorCode::out_of_range, "index of an item that is not there", "one");
}

constexpr Builtin filters[] = {{"length", length},
                               {"count", length},
                               {"list", to_list},
                               {"items", items},
                               {"first", first},
                               {"last", last},
                               {"reverse", reverse},
                               {"join", join, "d attribute"},
                               {"sort", sort, "reverse case_sensitive attribute"},
                               {"dictsort", sort_dict, "case_sensitive by reverse"},
                               {"unique", unique, "case_sensitive attribute"},
                               {"min", minimum, "case_sensitive attribute"},
                               {"max", maximum, "case_sensitive attribute"},
                               {"map", map, "*"},
                               {"select", select, "*"},
                               {"reject", reject, "*"},
                               {"selectattr", select_by, "*"},
                               {"rejectattr", reject_by, "*"}};

constexpr Builtin of_lists[] = {{"append", append, "object"},
                                {"extend", extend, "iterable"},
                                {"pop", pop, "index"},
                                {"count", count, "value"},
                                {"index", index, "value"}};

constexpr Builtin of_dicts[] = {
    {"items", items}, {"keys", to_list}, {"values", values}, {"get", get, "key default"}};

}  // namespace

std::span<const Builtin> sequence_filters() { return filters; }
std::span<const Builtin> list_methods() { return of_lists; }
std::span<const Builtin> dict_methods() { return of_dicts; }

}  // namespace nibble::inline v0::jinja
