// Reading GGUF: header, metadata, tensor table, then the tensors' ranges, each checked before it is believed.
// One of the two containers behind file/checkpoint.hpp.
#include "nibble/file/gguf.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "nibble/core/checked.hpp"
#include "src/file/element_types.hpp"
#include "src/file/gguf_fields.hpp"
#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint64_t min_entry_bytes = 13;   // key length, value type, a bool
constexpr std::uint64_t min_tensor_bytes = 24;  // name length, n_dims, type, offset
constexpr std::uint32_t max_dims = 4;
static_assert(max_dims <= Shape::max_rank);

class GgufReader {
 public:
  GgufReader(const ByteSource& source, const Limits& limits) : file_(source.bytes()), in_(source, limits) {}

  Gguf read() {
    read_magic();
    const std::uint64_t n_tensors_at = in_.offset();
    const std::uint64_t n_tensors = in_.u64("n_tensors");
    const std::uint64_t n_kv_at = in_.offset();
    const std::uint64_t n_kv = in_.u64("n_kv");
    in_.check_count(n_tensors, min_tensor_bytes, in_.limits().tensors, n_tensors_at, "n_tensors");
    in_.check_count(n_kv, min_entry_bytes, in_.limits().metadata_entries, n_kv_at, "n_kv");
    gguf_.metadata = read_gguf_metadata(in_, n_kv);
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

  void read_magic() {
    const std::uint64_t at = in_.offset();
    const auto magic = in_.take(4, "magic");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
      throw in_.error(ErrorCode::bad_magic, at, "magic",
                      in_quotes({reinterpret_cast<const char*>(magic.data()), 4}), "\"GGUF\"");
    }
    const std::uint64_t version_at = in_.offset();
    gguf_.version = in_.u32("version");
    if (gguf_.version < 2 || gguf_.version > 3) {
      const bool swapped = (gguf_.version & 0xffff) == 0 && gguf_.version != 0;
      throw in_.error(ErrorCode::unsupported, version_at, "version",
                      swapped ? "a big-endian file" : std::to_string(gguf_.version), "2 or 3, little-endian");
    }
  }

  void read_alignment() {
    constexpr std::string_view key = "general.alignment";
    const Metadata& metadata = gguf_.metadata;
    gguf_.alignment = metadata.count(key, gguf_.alignment);
    if (!std::has_single_bit(gguf_.alignment)) {
      throw metadata.error(ErrorCode::out_of_range, key, std::to_string(gguf_.alignment), "a power of two");
    }
    if (gguf_.alignment > in_.limits().alignment) {
      throw metadata.error(ErrorCode::limit, key, std::to_string(gguf_.alignment),
                           "at most " + std::to_string(in_.limits().alignment));
    }
  }

  void read_tensor() {
    Tensor tensor;
    Place place;
    place.name_at = in_.offset();
    tensor.name = in_.name("tensor name", in_.limits().tensor_name_bytes);
    tensor.source = in_.source();
    const std::uint64_t n_dims_at = in_.offset();
    const std::uint32_t n_dims = in_.u32(tensor.name);
    if (n_dims == 0 || n_dims > max_dims) {
      throw in_.error(ErrorCode::out_of_range, n_dims_at, tensor.name, std::to_string(n_dims) + " dimensions",
                      "1 to 4");
    }
    const std::uint64_t dims_at = in_.offset();
    tensor.shape = read_dims(n_dims, tensor.name);
    const std::uint64_t type_at = in_.offset();
    tensor.dtype = static_cast<Dtype>(in_.u32(tensor.name));
    const auto size = element_size(tensor.dtype);
    if (!size) {
      throw in_.error(ErrorCode::unsupported, type_at, tensor.name,
                      "tensor type " + std::to_string(static_cast<std::int32_t>(tensor.dtype)),
                      "a published type of fixed size");
    }
    place.n_bytes = check_extent(tensor, *size, dims_at);
    place.offset_at = in_.offset();
    tensor.offset = in_.u64(tensor.name);
    if (tensor.offset % gguf_.alignment != 0) {
      throw in_.error(ErrorCode::malformed, place.offset_at, tensor.name,
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
      if (dims[i] == 0 || dims[i] > in_.limits().dimension) {
        throw in_.error(ErrorCode::out_of_range, at, name,
                        "dimension " + std::to_string(static_cast<std::int64_t>(dims[i])),
                        "1 to " + std::to_string(in_.limits().dimension));
      }
    }
    Shape shape;
    for (std::uint32_t i = n_dims; i-- > 0;) shape.push_back(dims[i]);
    return shape;
  }

  std::uint64_t check_extent(const Tensor& tensor, ElementSize size, std::uint64_t dims_at) const {
    if (tensor.shape.cols() % size.block != 0) {
      throw in_.error(ErrorCode::malformed, dims_at, tensor.name,
                      "rows of " + std::to_string(tensor.shape.cols()) + " elements",
                      "a multiple of the block of " + std::to_string(size.block));
    }
    const auto n_bytes = tensor_bytes(tensor.shape, size);
    if (!n_bytes) {
      throw in_.error(ErrorCode::out_of_range, dims_at, tensor.name, "shape " + to_string(tensor.shape),
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
        throw in_.error(
            ErrorCode::truncated, places_[i].offset_at, tensor.name,
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
      throw in_.error(ErrorCode::duplicate, places_[indices[i]].name_at, tensor.name,
                      "the name a second time", "each name once");
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
      throw in_.error(ErrorCode::malformed, places_[indices[i]].offset_at, tensor.name,
                      "bytes shared with " + in_quotes(before.name), "a range of its own");
    }
  }

  std::span<const std::byte> file_;
  GgufFields in_;
  Gguf gguf_;
  std::vector<Place> places_;
};

}  // namespace

Gguf parse_gguf(const ByteSource& source, const Limits& limits) {
  return translate_errors([&] { return GgufReader(source, limits).read(); });
}

}  // namespace nibble::inline v0
