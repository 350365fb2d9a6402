// Reading GGUF: header, metadata, tensor table, then the tensors' ranges, each checked before it is believed.
// One of the two containers behind file/checkpoint.hpp.
#include "nibble/file/gguf.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "nibble/core/checked.hpp"
#include "src/file/element_types.hpp"
#include "src/file/gguf_types.hpp"
#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint64_t min_entry_bytes = 13;   // key length, value type, a bool
constexpr std::uint64_t min_tensor_bytes = 24;  // name length, n_dims, type, offset
constexpr std::uint64_t max_key_bytes = 65'535;
constexpr std::uint32_t max_dims = 4;
static_assert(max_dims <= Shape::max_rank);

bool is_utf8_without_nul(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(at, left, &character);
    if (n <= 0 || character == 0) return false;
    at += n;
    left -= n;
  }
  return true;
}

class GgufReader {
 public:
  GgufReader(const ByteSource& source, const Limits& limits)
      : file_(source.bytes()), in_(source.bytes(), source.name()), limits_(limits) {
    gguf_.metadata = Metadata(source.name());
  }

  Gguf read() {
    read_magic();
    const std::uint64_t n_tensors_at = in_.offset();
    const std::uint64_t n_tensors = in_.u64("n_tensors");
    const std::uint64_t n_kv_at = in_.offset();
    const std::uint64_t n_kv = in_.u64("n_kv");
    check_count(n_tensors, min_tensor_bytes, limits_.tensors, n_tensors_at, "n_tensors");
    check_count(n_kv, min_entry_bytes, limits_.metadata_entries, n_kv_at, "n_kv");
    for (std::uint64_t i = 0; i < n_kv; ++i) read_entry();
    read_alignment();
    gguf_.tensors.reserve(n_tensors);
    places_.reserve(n_tensors);
    for (std::uint64_t i = 0; i < n_tensors; ++i) read_tensor();
    place_tensors();
    check_names();
    check_overlap();
    return std::move(gguf_);
  }

 private:
  // Where a tensor's fields lie, for errors found after the table was read.
  struct Place {
    std::uint64_t name_at = 0;
    std::uint64_t offset_at = 0;
    std::uint64_t n_bytes = 0;
  };

  Error error(ErrorCode code, std::uint64_t at, std::string_view field, std::string found,
              std::string allowed) const {
    return in_.error(code, at, field, std::move(found), std::move(allowed));
  }

  void read_magic() {
    const std::uint64_t at = in_.offset();
    const auto magic = in_.take(4, "magic");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
      throw error(ErrorCode::bad_magic, at, "magic",
                  in_quotes({reinterpret_cast<const char*>(magic.data()), 4}), "\"GGUF\"");
    }
    const std::uint64_t version_at = in_.offset();
    gguf_.version = in_.u32("version");
    if (gguf_.version < 2 || gguf_.version > 3) {
      const bool swapped = (gguf_.version & 0xffff) == 0 && gguf_.version != 0;
      throw error(ErrorCode::unsupported, version_at, "version",
                  swapped ? "a big-endian file" : std::to_string(gguf_.version), "2 or 3, little-endian");
    }
  }

  // A count of things that take at least `min_bytes` each.
  void check_count(std::uint64_t count, std::uint64_t min_bytes, std::uint64_t limit, std::uint64_t at,
                   std::string_view field) const {
    if (count > in_.left() / min_bytes) {
      throw error(ErrorCode::truncated, at, field, std::to_string(count),
                  "at most " + std::to_string(in_.left() / min_bytes) + " in the " +
                      std::to_string(in_.left()) + " bytes left");
    }
    if (count > limit) {
      throw error(ErrorCode::limit, at, field, std::to_string(count), "at most " + std::to_string(limit));
    }
  }

  // Bad lengths are reported where the length stands.
  std::string_view read_string(std::string_view field, std::uint64_t limit) {
    const std::uint64_t at = in_.offset();
    const std::uint64_t length = in_.u64(field);
    check_count(length, 1, limit, at, field);
    const auto bytes = in_.take(length, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A key or a tensor's name.
  std::string read_name(std::string_view field, std::uint64_t limit) {
    const std::uint64_t at = in_.offset();
    const std::string_view name = read_string(field, limit);
    if (name.empty() || !is_utf8_without_nul(name)) {
      throw error(ErrorCode::malformed, at, field, in_quotes(name), "UTF-8, not empty, without NUL");
    }
    return std::string(name);
  }

  void read_entry() {
    const std::uint64_t at = in_.offset();
    std::string key = read_name("key", max_key_bytes);
    const GgufType type = read_type(key);
    Value value = type == GgufType::array ? read_array(key) : read_scalar(type, key);
    gguf_.metadata.add(std::move(key), std::move(value), at_byte(at));
  }

  GgufType read_type(std::string_view key) {
    const std::uint64_t at = in_.offset();
    const std::uint32_t type = in_.u32(key);
    if (type >= n_gguf_types) {
      throw error(ErrorCode::unsupported, at, key, "value type " + std::to_string(type), "0 to 12");
    }
    return static_cast<GgufType>(type);
  }

  bool read_bool(std::string_view key) {
    const std::uint64_t at = in_.offset();
    const std::uint8_t value = in_.u8(key);
    if (value > 1) throw error(ErrorCode::malformed, at, key, "bool " + std::to_string(value), "0 or 1");
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
      case GgufType::string: return std::string(read_string(key, limits_.string_bytes));
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
      throw error(ErrorCode::unsupported, type_at, key, "an array of arrays", "an array of scalars");
    }
    const std::uint64_t count_at = in_.offset();
    const std::uint64_t count = in_.u64(key);
    check_count(count, gguf_type_bytes(type), limits_.array_elements, count_at, key);
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
          throw error(ErrorCode::out_of_range, at + i * sizeof value, key, std::to_string(value),
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
    for (std::uint64_t i = 0; i < count; ++i) values.emplace_back(read_string(key, limits_.string_bytes));
    return values;
  }

  void read_alignment() {
    constexpr std::string_view key = "general.alignment";
    const Metadata& metadata = gguf_.metadata;
    gguf_.alignment = metadata.count(key, gguf_.alignment);
    if (!std::has_single_bit(gguf_.alignment)) {
      throw metadata.error(ErrorCode::out_of_range, key, std::to_string(gguf_.alignment), "a power of two");
    }
    if (gguf_.alignment > limits_.alignment) {
      throw metadata.error(ErrorCode::limit, key, std::to_string(gguf_.alignment),
                           "at most " + std::to_string(limits_.alignment));
    }
  }

  void read_tensor() {
    Tensor tensor;
    Place place;
    place.name_at = in_.offset();
    tensor.name = read_name("tensor name", limits_.tensor_name_bytes);
    tensor.source = in_.source();
    const std::uint64_t n_dims_at = in_.offset();
    const std::uint32_t n_dims = in_.u32(tensor.name);
    if (n_dims == 0 || n_dims > max_dims) {
      throw error(ErrorCode::out_of_range, n_dims_at, tensor.name, std::to_string(n_dims) + " dimensions",
                  "1 to 4");
    }
    const std::uint64_t dims_at = in_.offset();
    tensor.shape = read_dims(n_dims, tensor.name);
    const std::uint64_t type_at = in_.offset();
    tensor.dtype = static_cast<Dtype>(in_.u32(tensor.name));
    const auto size = element_size(tensor.dtype);
    if (!size) {
      throw error(ErrorCode::unsupported, type_at, tensor.name,
                  "tensor type " + std::to_string(static_cast<std::int32_t>(tensor.dtype)),
                  "a published type of fixed size");
    }
    place.n_bytes = check_extent(tensor, *size, dims_at);
    place.offset_at = in_.offset();
    tensor.offset = in_.u64(tensor.name);
    if (tensor.offset % gguf_.alignment != 0) {
      throw error(ErrorCode::malformed, place.offset_at, tensor.name,
                  "offset " + std::to_string(tensor.offset),
                  "a multiple of " + std::to_string(gguf_.alignment));
    }
    places_.push_back(place);
    gguf_.tensors.push_back(std::move(tensor));
  }

  // Stored innermost first.
  Shape read_dims(std::uint32_t n_dims, std::string_view name) {
    std::uint64_t dims[max_dims];
    for (std::uint32_t i = 0; i < n_dims; ++i) {
      const std::uint64_t at = in_.offset();
      dims[i] = in_.u64(name);
      if (dims[i] == 0 || dims[i] > limits_.dimension) {
        throw error(ErrorCode::out_of_range, at, name,
                    "dimension " + std::to_string(static_cast<std::int64_t>(dims[i])),
                    "1 to " + std::to_string(limits_.dimension));
      }
    }
    Shape shape;
    for (std::uint32_t i = n_dims; i-- > 0;) shape.push_back(dims[i]);
    return shape;
  }

  std::uint64_t check_extent(const Tensor& tensor, ElementSize size, std::uint64_t dims_at) const {
    if (tensor.shape.cols() % size.block != 0) {
      throw error(ErrorCode::malformed, dims_at, tensor.name,
                  "rows of " + std::to_string(tensor.shape.cols()) + " elements",
                  "a multiple of the block of " + std::to_string(size.block));
    }
    const auto n_bytes = tensor_bytes(tensor.shape, size);
    if (!n_bytes) {
      throw error(ErrorCode::out_of_range, dims_at, tensor.name, "shape " + to_string(tensor.shape),
                  "fewer than 2^63 elements and bytes");
    }
    return *n_bytes;
  }

  // The data section starts at the first aligned byte behind the table; without tensors there is none.
  void place_tensors() {
    const std::uint64_t data = *checked_round_up(in_.offset(), gguf_.alignment);  // offset < 2^63
    for (std::size_t i = 0; i < gguf_.tensors.size(); ++i) {
      Tensor& tensor = gguf_.tensors[i];
      const auto begin = checked_add(data, tensor.offset);
      const auto end = begin ? checked_add(*begin, places_[i].n_bytes) : std::nullopt;
      if (!end || *end > file_.size()) {
        throw error(ErrorCode::truncated, places_[i].offset_at, tensor.name,
                    std::to_string(places_[i].n_bytes) + " bytes at offset " + std::to_string(tensor.offset),
                    "an end within the " + std::to_string(file_.size()) + " bytes of the file");
      }
      tensor.offset = *begin;
      tensor.bytes = file_.subspan(*begin, places_[i].n_bytes);
    }
  }

  std::vector<std::uint32_t> order() const {
    std::vector<std::uint32_t> indices(gguf_.tensors.size());
    std::iota(indices.begin(), indices.end(), 0u);
    return indices;
  }

  void check_names() const {
    const auto& tensors = gguf_.tensors;
    auto indices = order();
    std::sort(indices.begin(), indices.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int compared = tensors[a].name.compare(tensors[b].name);
      return compared != 0 ? compared < 0 : a < b;
    });
    for (std::size_t i = 1; i < indices.size(); ++i) {
      const Tensor& tensor = tensors[indices[i]];
      if (tensor.name != tensors[indices[i - 1]].name) continue;
      throw error(ErrorCode::duplicate, places_[indices[i]].name_at, tensor.name, "the name a second time",
                  "each name once");
    }
  }

  void check_overlap() const {
    const auto& tensors = gguf_.tensors;
    auto indices = order();
    std::sort(indices.begin(), indices.end(), [&](std::uint32_t a, std::uint32_t b) {
      return tensors[a].offset != tensors[b].offset ? tensors[a].offset < tensors[b].offset : a < b;
    });
    for (std::size_t i = 1; i < indices.size(); ++i) {
      const Tensor& before = tensors[indices[i - 1]];
      const Tensor& tensor = tensors[indices[i]];
      if (before.offset + before.bytes.size() <= tensor.offset) continue;
      throw error(ErrorCode::malformed, places_[indices[i]].offset_at, tensor.name,
                  "bytes shared with " + in_quotes(before.name), "a range of its own");
    }
  }

  std::span<const std::byte> file_;
  ByteReader in_;
  const Limits& limits_;
  Gguf gguf_;
  std::vector<Place> places_;
};

}  // namespace

Gguf parse_gguf(const ByteSource& source, const Limits& limits) {
  return translate_errors([&] { return GgufReader(source, limits).read(); });
}

}  // namespace nibble::inline v0
