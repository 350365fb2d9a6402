// Typed key-value metadata of a model file, the same for GGUF and for config.json, with the place each value
// came from. Filled by the file readers; read by the architectures and the tokenizer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

// Integers of all widths are kept as int64 (uint64 only above its range), floats of both as double.
// Arrays keep one element type; an empty JSON array reads as an array of any type.
using Value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>,
                           std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

// "string", "array of integers", ...
NIBBLE_API std::string_view type_name(const Value& value) noexcept;

class NIBBLE_API Metadata {
 public:
  struct Entry {
    Value value;
    std::string position;  // "byte 24", or a JSON pointer
  };

  // `source` names the file in errors.
  explicit Metadata(std::string source = {}) : source_(std::move(source)) {}

  const std::string& source() const noexcept { return source_; }
  // Keys of a JSON file are their path joined by dots: "rope_scaling.factor". JSON null is an absent key.
  const std::map<std::string, Entry, std::less<>>& entries() const noexcept { return entries_; }
  // duplicate if the key is there already.
  void add(std::string key, Value value, std::string position);
  // Adds or replaces.
  void set(std::string key, Value value);

  const Entry* find(std::string_view key) const noexcept;
  bool has(std::string_view key) const noexcept { return find(key) != nullptr; }

  // The value of `key`. Errors: missing (the plain forms), wrong_type, out_of_range (a negative or too large
  // count). Any integer type serves a count; an integer serves a number.
  std::uint64_t count(std::string_view key) const;
  std::uint64_t count(std::string_view key, std::uint64_t absent) const;
  double number(std::string_view key) const;
  double number(std::string_view key, double absent) const;
  bool flag(std::string_view key, bool absent) const;
  const std::string& text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view absent) const;
  // Null where the key is absent.
  const std::vector<std::string>* texts(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<bool>* flags(std::string_view key) const;
  // Integers are converted, hence a copy.
  std::optional<std::vector<double>> numbers(std::string_view key) const;

  // An Error about `key`, with this file and the key's position.
  Error error(ErrorCode code, std::string_view key, std::string found, std::string allowed) const;

 private:
  const Entry& require(std::string_view key, std::string_view type) const;
  template <class T>
  const T& as(const Entry& entry, std::string_view key) const;
  template <class T>
  const T* array(std::string_view key, const T& empty) const;

  std::string source_;
  std::map<std::string, Entry, std::less<>> entries_;
  // What an empty array of another type reads as.
  struct {
    std::vector<std::string> texts;
    std::vector<std::int64_t> integers;
    std::vector<bool> flags;
    std::vector<double> numbers;
  } no_items_;
};

}  // namespace nibble::inline v0
