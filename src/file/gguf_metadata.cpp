// Reading GGUF's metadata: each value as its declared type, arrays in bulk.
// Between GGUF's header and its tensor table.
#include <cstring>
#include <type_traits>

#include "nibble/core/checked.hpp"
#include "src/file/gguf_fields.hpp"
#include "src/file/gguf_types.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint64_t max_key_bytes = 65'535;

class MetadataReader {
 public:
  explicit MetadataReader(GgufFields& in) : in_(in), metadata_(std::string(in.source())) {}

  Metadata read(std::uint64_t n_entries) {
    for (std::uint64_t i = 0; i < n_entries; ++i) read_entry();
    return std::move(metadata_);
  }

 private:
  void read_entry() {
    const std::uint64_t at = in_.offset();
    std::string key = in_.name("key", max_key_bytes);
    const GgufType type = read_type(key);
    Value value = type == GgufType::array ? read_array(key) : read_scalar(type, key);
    metadata_.add(std::move(key), std::move(value), at_byte(at));
  }

  GgufType read_type(std::string_view key) {
    const std::uint64_t at = in_.offset();
    const std::uint32_t type = in_.u32(key);
    if (type >= n_gguf_types) {
      throw in_.error(ErrorCode::unsupported, at, key, "value type " + std::to_string(type), "0 to 12");
    }
    return static_cast<GgufType>(type);
  }

  bool read_bool(std::string_view key) {
    const std::uint64_t at = in_.offset();
    const std::uint8_t value = in_.u8(key);
    if (value > 1) throw in_.error(ErrorCode::malformed, at, key, "bool " + std::to_string(value), "0 or 1");
    return value != 0;
  }

  Value read_scalar(GgufType type, std::string_view key) {
    switch (type) {
      case GgufType::u8: return std::int64_t{in_.u8(key)};
      case GgufType::i8: return std::int64_t{static_cast<std::int8_t>(in_.u8(key))};
      case GgufType::u16: return std::int64_t{in_.u16(key)};
      case GgufType::i16: return std::int64_t{static_cast<std::int16_t>(in_.u16(key))};
      case GgufType::u32: return std::int64_t{in_.u32(key)};
      case GgufType::i32: return std::int64_t{static_cast<std::int32_t>(in_.u32(key))};
      case GgufType::i64: return static_cast<std::int64_t>(in_.u64(key));
      case GgufType::f32: return double{in_.f32(key)};
      case GgufType::f64: return in_.f64(key);
      case GgufType::boolean: return read_bool(key);
      case GgufType::string: return std::string(in_.string(key, in_.limits().string_bytes));
      case GgufType::u64: {
        const std::uint64_t value = in_.u64(key);
        if (const auto narrow = checked_cast<std::int64_t>(value)) return *narrow;
        return value;
      }
      case GgufType::array: break;
    }
    throw Error({.code = ErrorCode::internal});
  }

  Value read_array(std::string_view key) {
    const std::uint64_t type_at = in_.offset();
    const GgufType type = read_type(key);
    if (type == GgufType::array) {
      throw in_.error(ErrorCode::unsupported, type_at, key, "an array of arrays", "an array of scalars");
    }
    const std::uint64_t count_at = in_.offset();
    const std::uint64_t count = in_.u64(key);
    in_.check_count(count, gguf_type_bytes(type), in_.limits().array_elements, count_at, key);
    switch (type) {
      case GgufType::u8: return read_numbers<std::uint8_t, std::int64_t>(count, key);
      case GgufType::i8: return read_numbers<std::int8_t, std::int64_t>(count, key);
      case GgufType::u16: return read_numbers<std::uint16_t, std::int64_t>(count, key);
      case GgufType::i16: return read_numbers<std::int16_t, std::int64_t>(count, key);
      case GgufType::u32: return read_numbers<std::uint32_t, std::int64_t>(count, key);
      case GgufType::i32: return read_numbers<std::int32_t, std::int64_t>(count, key);
      case GgufType::u64: return read_numbers<std::uint64_t, std::int64_t>(count, key);
      case GgufType::i64: return read_numbers<std::int64_t, std::int64_t>(count, key);
      case GgufType::f32: return read_numbers<float, double>(count, key);
      case GgufType::f64: return read_numbers<double, double>(count, key);
      case GgufType::boolean: return read_bools(count, key);
      case GgufType::string: return read_strings(count, key);
      case GgufType::array: break;
    }
    throw Error({.code = ErrorCode::internal});
  }

  template <class Stored, class Kept>
  std::vector<Kept> read_numbers(std::uint64_t count, std::string_view key) {
    const std::uint64_t at = in_.offset();
    const auto bytes = in_.take(count * sizeof(Stored), key);
    std::vector<Kept> values(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      Stored value;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      if constexpr (std::is_same_v<Stored, std::uint64_t>) {
        if (value >> 63 != 0) {
          throw in_.error(ErrorCode::out_of_range, at + i * sizeof value, key, std::to_string(value),
                          "at most 2^63 - 1 in an array");
        }
      }
      values[i] = static_cast<Kept>(value);
    }
    return values;
  }

  std::vector<bool> read_bools(std::uint64_t count, std::string_view key) {
    std::vector<bool> values(count);
    for (std::uint64_t i = 0; i < count; ++i) values[i] = read_bool(key);
    return values;
  }

  std::vector<std::string> read_strings(std::uint64_t count, std::string_view key) {
    std::vector<std::string> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) values.emplace_back(in_.string(key, in_.limits().string_bytes));
    return values;
  }

  GgufFields& in_;
  Metadata metadata_;
};

}  // namespace

Metadata read_gguf_metadata(GgufFields& in, std::uint64_t n_entries) {
  return MetadataReader(in).read(n_entries);
}

}  // namespace nibble::inline v0
