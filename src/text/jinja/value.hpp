// What a template computes with: texts, numbers, lists, dictionaries, functions; all owned by one Heap.
// Under the template interpreter, whose expressions yield these.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace nibble::inline v0::jinja {

// A text is its characters. The top bit of each says whether it came from the caller's data, so that no
// operation on texts can lose track of that.
using Text = std::u32string;
using TextView = std::u32string_view;
constexpr char32_t from_input = 0x8000'0000;
constexpr char32_t plain(char32_t c) noexcept { return c & ~from_input; }

struct List;
struct Dict;
struct Namespace;
struct Loop;
struct Function;
struct Undefined {};
struct None {};

// Two words, copied freely; what it points to lives as long as the rendering, or the template.
class Value {
 public:
  Value() = default;  // undefined
  explicit Value(None none) : held_(none) {}
  explicit Value(bool boolean) : held_(boolean) {}
  explicit Value(std::int64_t integer) : held_(integer) {}
  explicit Value(double number) : held_(number) {}
  explicit Value(const Text* text) : held_(text) {}
  explicit Value(List* list) : held_(list) {}
  explicit Value(Dict* dict) : held_(dict) {}
  explicit Value(Namespace* names) : held_(names) {}
  explicit Value(Loop* loop) : held_(loop) {}
  explicit Value(const Function* function) : held_(function) {}

  template <class T>
  bool is() const noexcept {
    return std::holds_alternative<T>(held_);
  }
  // Null where it is something else.
  template <class T>
  const T* as() const noexcept {
    return std::get_if<T>(&held_);
  }
  const Text* text() const noexcept { return pointer<const Text*>(); }
  List* list() const noexcept { return pointer<List*>(); }
  Dict* dict() const noexcept { return pointer<Dict*>(); }
  bool is_defined() const noexcept { return !is<Undefined>(); }
  bool is_number() const noexcept { return is<std::int64_t>() || is<double>() || is<bool>(); }

 private:
  template <class T>
  T pointer() const noexcept {
    const T* held = std::get_if<T>(&held_);
    return held ? *held : nullptr;
  }
  std::variant<Undefined, None, bool, std::int64_t, double, const Text*, List*, Dict*, Namespace*, Loop*,
               const Function*>
      held_;
};

struct List {
  std::vector<Value> items;
  bool is_tuple = false;  // prints in parentheses
};

// Pairs in the order they came; found by looking at each, as templates' dictionaries are small.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
};

struct Namespace : Dict {};  // what `set name.attribute = …` may change

// The variable `loop`.
struct Loop {
  List* items = nullptr;
  std::size_t index = 0;  // of the item under way, from 0
};

// Owns everything that one rendering makes; values may refer to each other in circles.
class Heap {
 public:
  Value add(Text text) { return Value(&texts_.emplace_back(std::move(text))); }
  List* add(List list) { return &lists_.emplace_back(std::move(list)); }
  Dict* add(Dict dict) { return &dicts_.emplace_back(std::move(dict)); }
  Namespace* add(Namespace names) { return &namespaces_.emplace_back(std::move(names)); }

 private:
  std::deque<Text> texts_;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Namespace> namespaces_;
};

bool is_true(const Value& value) noexcept;
// "a string", for messages.
std::string_view kind_name(const Value& value) noexcept;
// Its integer, a boolean's too.
std::int64_t integer_of(const Value& value) noexcept;
double number_of(const Value& value) noexcept;  // of any number

// Comparisons and searches see characters alone, never where they came from.
bool same(TextView a, TextView b) noexcept;
bool same(TextView a, std::string_view ascii) noexcept;
bool less(TextView a, TextView b) noexcept;
// Where `part` begins, at or after `from`; TextView::npos where nowhere.
std::size_t position_of(TextView text, TextView part, std::size_t from = 0) noexcept;
std::size_t last_position_of(TextView text, TextView part) noexcept;
bool is_space(char32_t c) noexcept;  // as Python's str.isspace has it

// UTF-8 to characters, each marked with `mark`, and back without marks.
Text to_text(std::string_view utf8, char32_t mark = 0);
std::string to_utf8(TextView text);

}  // namespace nibble::inline v0::jinja
