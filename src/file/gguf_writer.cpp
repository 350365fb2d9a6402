// Writing GGUF: everything is checked and laid out first, then written to a temporary file that takes the
// target's name only when it is complete. For quantize, synth and tests.
#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "nibble/core/checked.hpp"
#include "nibble/file/gguf.hpp"
#include "src/file/element_types.hpp"
#include "src/file/gguf_types.hpp"
#include "src/file/partial_file.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint64_t alignment = 32;
constexpr std::string_view alignment_key = "general.alignment";

// Little-endian fields, appended.
class HeaderBytes {
 public:
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(bytes_)); }

  template <class T>
  void number(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof raw);
  }
  void type(GgufType type) { number(static_cast<std::uint32_t>(type)); }
  void string(std::string_view text) {
    number<std::uint64_t>(text.size());
    bytes_ += text;
  }
  void array(GgufType element, std::uint64_t count) {
    type(GgufType::array);
    type(element);
    number(count);
  }
  void pad() { bytes_.resize(*checked_round_up(bytes_.size(), alignment)); }

  void operator()(bool value) {
    type(GgufType::boolean);
    number<std::uint8_t>(value);
  }
  void operator()(std::int64_t value) {
    if (const auto narrow = checked_cast<std::uint32_t>(value)) {
      type(GgufType::u32);
      number(*narrow);
    } else if (const auto narrow_signed = checked_cast<std::int32_t>(value)) {
      type(GgufType::i32);
      number(*narrow_signed);
    } else {
      type(value < 0 ? GgufType::i64 : GgufType::u64);
      number(value);
    }
  }
  void operator()(std::uint64_t value) {
    type(GgufType::u64);
    number(value);
  }
  void operator()(double value) {
    type(GgufType::f32);
    number(static_cast<float>(value));
  }
  void operator()(const std::string& value) {
    type(GgufType::string);
    string(value);
  }
  void operator()(const std::vector<bool>& values) {
    array(GgufType::boolean, values.size());
    for (const bool value : values) number<std::uint8_t>(value);
  }
  void operator()(const std::vector<std::int64_t>& values) {
    const bool narrow = std::all_of(values.begin(), values.end(), [](std::int64_t value) {
      return checked_cast<std::int32_t>(value).has_value();
    });
    array(narrow ? GgufType::i32 : GgufType::i64, values.size());
    for (const std::int64_t value : values) {
      narrow ? number(static_cast<std::int32_t>(value)) : number(value);
    }
  }
  void operator()(const std::vector<double>& values) {
    array(GgufType::f32, values.size());
    for (const double value : values) number(static_cast<float>(value));
  }
  void operator()(const std::vector<std::string>& values) {
    array(GgufType::string, values.size());
    for (const std::string& value : values) string(value);
  }

 private:
  std::string bytes_;
};

Error tensor_error(ErrorCode code, const GgufTensor& tensor, std::string found, std::string allowed) {
  return Error(
      {.code = code, .field = tensor.name, .found = std::move(found), .allowed = std::move(allowed)});
}

// Bytes of each tensor; refuses what parse_gguf would refuse.
std::vector<std::uint64_t> check_tensors(std::span<const GgufTensor> tensors) {
  std::vector<std::uint64_t> sizes;
  std::set<std::string_view> names;
  for (const GgufTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw tensor_error(ErrorCode::duplicate, tensor, "the name a second time", "each name once");
    }
    const auto size = element_size(tensor.dtype);
    if (!size) {
      throw tensor_error(ErrorCode::unsupported, tensor,
                         "tensor type " + std::to_string(static_cast<std::uint32_t>(tensor.dtype)),
                         "a type of known size");
    }
    const auto bytes = tensor_bytes(tensor.shape, *size);
    if (tensor.shape.rank() == 0 || !bytes || *bytes == 0 || tensor.shape.cols() % size->block != 0) {
      throw tensor_error(ErrorCode::invalid_argument, tensor, "shape " + to_string(tensor.shape),
                         "1 to 4 extents above 0, rows a multiple of " + std::to_string(size->block));
    }
    sizes.push_back(*bytes);
  }
  return sizes;
}

HeaderBytes make_header(const Metadata& metadata, std::span<const GgufTensor> tensors,
                        std::span<const std::uint64_t> sizes) {
  HeaderBytes header;
  header.number<std::uint32_t>(0x46554747);  // "GGUF"
  header.number<std::uint32_t>(3);
  header.number<std::uint64_t>(tensors.size());
  header.number<std::uint64_t>(metadata.entries().size() + !metadata.has(alignment_key));
  header.string(alignment_key);
  header(static_cast<std::int64_t>(alignment));
  for (const auto& [key, entry] : metadata.entries()) {
    if (key == alignment_key) continue;
    header.string(key);
    std::visit(header, entry.value);
  }
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Shape& shape = tensors[i].shape;
    header.string(tensors[i].name);
    header.number(static_cast<std::uint32_t>(shape.rank()));
    for (std::size_t axis = shape.rank(); axis-- > 0;) header.number<std::uint64_t>(shape[axis]);
    header.number(static_cast<std::uint32_t>(tensors[i].dtype));
    header.number(offset);
    const auto end = checked_add(offset, sizes[i]);
    const auto next = end ? checked_round_up(*end, alignment) : std::nullopt;
    if (!next) throw tensor_error(ErrorCode::out_of_range, tensors[i], "an end beyond 2^64", "less");
    offset = *next;
  }
  header.pad();
  return header;
}

void write_file(const std::filesystem::path& path, const Metadata& metadata,
                std::span<const GgufTensor> tensors, const Watch& watch) {
  const std::vector<std::uint64_t> sizes = check_tensors(tensors);
  const HeaderBytes header = make_header(metadata, tensors, sizes);
  std::uint64_t total = 0;
  for (const std::uint64_t size : sizes) total += size;

  PartialFile file(path);
  file.write(header.bytes());
  std::vector<std::byte> buffer;
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (watch.stop.stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = path.string()});
    buffer.assign(*checked_round_up(sizes[i], alignment), std::byte{0});
    tensors[i].fill(std::span(buffer).first(sizes[i]));
    file.write(buffer);
    done += sizes[i];
    if (watch.progress) watch.progress(Stage::pack, done, total);
  }
  file.commit();
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const Metadata& metadata,
                std::span<const GgufTensor> tensors, const Watch& watch) {
  translate_errors([&] { write_file(path, metadata, tensors, watch); });
}

}  // namespace nibble::inline v0
