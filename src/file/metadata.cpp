// Typed access to metadata: every wrong, absent or oversized value is an Error at the place it came from.
// Between the file readers and the stages that read keys.
#include "nibble/file/metadata.hpp"

#include <type_traits>

namespace nibble::inline v0 {

std::string_view type_name(const Value& value) noexcept {
  constexpr std::string_view names[] = {
      "bool",           "integer",           "integer",          "number",          "string",
      "array of bools", "array of integers", "array of numbers", "array of strings"};
  static_assert(std::size(names) == std::variant_size_v<Value>);
  return value.valueless_by_exception() ? "nothing" : names[value.index()];
}

namespace {

bool is_empty_array(const Value& value) noexcept {
  return std::visit(
      [](const auto& v) {
        using T = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
          return false;
        } else {
          return v.empty();
        }
      },
      value);
}

}  // namespace

Error Metadata::error(ErrorCode code, std::string_view key, std::string found, std::string allowed) const {
  const Entry* entry = find(key);
  return Error({.code = code,
                .source = source_,
                .position = entry ? entry->position : std::string(),
                .field = std::string(key),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

void Metadata::add(std::string key, Value value, std::string position) {
  const auto [it, added] = entries_.try_emplace(std::move(key));
  if (!added) {
    throw Error({.code = ErrorCode::duplicate,
                 .source = source_,
                 .position = std::move(position),
                 .field = it->first,
                 .found = "the key a second time, first at " + it->second.position,
                 .allowed = "each key once"});
  }
  it->second = {std::move(value), std::move(position)};
}

void Metadata::set(std::string key, Value value) {
  entries_.insert_or_assign(std::move(key), Entry{std::move(value), {}});
}

const Metadata::Entry* Metadata::find(std::string_view key) const noexcept {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second;
}

const Metadata::Entry& Metadata::require(std::string_view key, std::string_view type) const {
  if (const Entry* entry = find(key)) return *entry;
  throw error(ErrorCode::missing, key, "no such key", std::string(type));
}

// The entry as T, or Error(wrong_type).
template <class T>
const T& Metadata::as(const Entry& entry, std::string_view key) const {
  if (const T* value = std::get_if<T>(&entry.value)) return *value;
  throw error(ErrorCode::wrong_type, key, std::string(type_name(entry.value)),
              std::string(type_name(Value(T()))));
}

// An array of T, null where the key is absent; one without elements serves as any.
template <class T>
const T* Metadata::array(std::string_view key, const T& empty) const {
  const Entry* entry = find(key);
  if (!entry) return nullptr;
  return is_empty_array(entry->value) ? &empty : &as<T>(*entry, key);
}

std::uint64_t Metadata::count(std::string_view key) const {
  const Entry& entry = require(key, "integer");
  if (const auto* large = std::get_if<std::uint64_t>(&entry.value)) return *large;
  const std::int64_t value = as<std::int64_t>(entry, key);
  if (value < 0) throw error(ErrorCode::out_of_range, key, std::to_string(value), "an integer >= 0");
  return static_cast<std::uint64_t>(value);
}

double Metadata::number(std::string_view key) const {
  const Entry& entry = require(key, "number");
  if (const auto* integer = std::get_if<std::int64_t>(&entry.value)) return static_cast<double>(*integer);
  if (const auto* large = std::get_if<std::uint64_t>(&entry.value)) return static_cast<double>(*large);
  return as<double>(entry, key);
}

const std::string& Metadata::text(std::string_view key) const {
  return as<std::string>(require(key, "string"), key);
}

std::uint64_t Metadata::count(std::string_view key, std::uint64_t absent) const {
  return has(key) ? count(key) : absent;
}
double Metadata::number(std::string_view key, double absent) const { return has(key) ? number(key) : absent; }
bool Metadata::flag(std::string_view key, bool absent) const {
  const Entry* entry = find(key);
  return entry ? as<bool>(*entry, key) : absent;
}
std::string Metadata::text(std::string_view key, std::string_view absent) const {
  return has(key) ? text(key) : std::string(absent);
}

const std::vector<std::string>* Metadata::texts(std::string_view key) const {
  return array(key, no_items_.texts);
}
const std::vector<std::int64_t>* Metadata::integers(std::string_view key) const {
  return array(key, no_items_.integers);
}
const std::vector<bool>* Metadata::flags(std::string_view key) const { return array(key, no_items_.flags); }

std::optional<std::vector<double>> Metadata::numbers(std::string_view key) const {
  const Entry* entry = find(key);
  if (!entry) return std::nullopt;
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&entry->value)) {
    return std::vector<double>(integers->begin(), integers->end());
  }
  return *array(key, no_items_.numbers);
}

}  // namespace nibble::inline v0
