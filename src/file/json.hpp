// JSON texts as read-only values that know where they lie: bounded, free of duplicate keys, checked UTF-8.
// Private to the file and text stages: safetensors headers, config.json, tokenizer.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/core/error.hpp"
#include "nibble/core/limits.hpp"

namespace nibble::inline v0 {

class JsonDocument;
JsonDocument parse_json(std::string_view text, std::string_view source, const Limits& limits,
                        std::uint64_t base);

// One value inside a JsonDocument and valid as long as that; two words, copied freely.
class Json {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  class Iterator;

  Kind kind() const noexcept;
  bool is(Kind kind) const noexcept { return this->kind() == kind; }

  // The value as one type. Error(wrong_type) where it is another, Error(out_of_range) where the type does not
  // hold it; both at its JSON pointer.
  bool boolean() const;
  std::int64_t integer() const;
  bool is_above_int64() const noexcept;  // an integer that only count() returns
  std::uint64_t count() const;
  double number() const;  // an integer serves as well
  std::string_view string() const;

  // The elements of an array, or an object's members in the order of the text. Error(wrong_type) otherwise.
  std::size_t size() const;  // linear, like find()
  Iterator begin() const;
  Iterator end() const;
  // A member's name; empty for anything else.
  std::string_view key() const noexcept;
  // A member by name, or nothing. Error(wrong_type) on what is no object.
  std::optional<Json> find(std::string_view key) const;
  // The same; Error(missing) where it is absent.
  Json at(std::string_view key) const;

  // RFC 6901: "/model/vocab/a~1b"; empty for the whole text.
  std::string pointer() const;
  // An Error at this value's pointer.
  Error error(ErrorCode code, std::string found, std::string allowed) const;
  // The value in a few words, for error(): `"text"`, `3`, `an object`.
  std::string describe() const;

 private:
  friend class JsonDocument;
  friend JsonDocument parse_json(std::string_view, std::string_view, const Limits&, std::uint64_t);
  struct Document;
  class Builder;
  Json(const Document* document, std::uint32_t index) noexcept : document_(document), index_(index) {}
  Json expect(Kind kind, std::string_view name) const;

  const Document* document_;
  std::uint32_t index_;
};

class Json::Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = Json;
  using difference_type = std::ptrdiff_t;
  using pointer = const Json*;
  using reference = Json;

  Json operator*() const noexcept { return value_; }
  Iterator& operator++() noexcept;
  bool operator==(const Iterator& other) const noexcept { return value_.index_ == other.value_.index_; }

 private:
  friend class Json;
  explicit Iterator(Json value) noexcept : value_(value) {}
  Json value_;
};

// Owns the values of one text; does not refer to the text.
class JsonDocument {
 public:
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

  Json root() const noexcept { return {document_.get(), 0}; }

 private:
  friend JsonDocument parse_json(std::string_view, std::string_view, const Limits&, std::uint64_t);
  explicit JsonDocument(std::unique_ptr<const Json::Document> document) noexcept;
  std::unique_ptr<const Json::Document> document_;
};

// Parses a whole text. `base` is added to byte offsets (where the text starts in its file). Takes at most 16
// bytes of memory per byte of text. Errors: malformed (syntax, UTF-8, a number beyond double; at the byte
// where reading stopped), duplicate (a key; at its JSON pointer), limit (json_bytes, json_depth; at the
// byte).
JsonDocument parse_json(std::string_view text, std::string_view source, const Limits& limits = {},
                        std::uint64_t base = 0);

// The same for a file. Errors: those of ByteSource::open too.
JsonDocument read_json(const std::filesystem::path& path, const Limits& limits = {});

}  // namespace nibble::inline v0
