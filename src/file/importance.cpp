// Both forms of importance matrices.
// See nibble/file/importance.hpp.
#include "nibble/file/importance.hpp"

#include <cmath>
#include <cstring>

#include "nibble/file/gguf.hpp"
#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::string_view sums_suffix = ".in_sum2", counts_suffix = ".counts";

Error tensor_error(const Tensor& tensor, ErrorCode code, std::string found, std::string allowed) {
  return Error({.code = code,
                .source = tensor.source,
                .position = at_byte(tensor.offset),
                .field = tensor.name,
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

std::vector<float> floats_of(const Tensor& tensor) {
  if (tensor.dtype != Dtype::F32) {
    throw tensor_error(tensor, ErrorCode::unsupported,
                       "type " + std::to_string(static_cast<std::uint32_t>(tensor.dtype)), "F32");
  }
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  for (const float value : values) {
    if (!(value >= 0) || std::isinf(value))
      throw tensor_error(tensor, ErrorCode::out_of_range, std::to_string(value),
                         "finite numbers, at least 0");
  }
  return values;
}

Importance read_tensors(const ByteSource& source, const Limits& limits) {
  const Gguf file = parse_gguf(source, limits);
  std::map<std::string_view, const Tensor*> by_name;
  for (const Tensor& tensor : file.tensors) by_name.emplace(tensor.name, &tensor);
  Importance all;
  for (const Tensor& sums : file.tensors) {
    if (!sums.name.ends_with(sums_suffix)) continue;
    std::string name = sums.name.substr(0, sums.name.size() - sums_suffix.size());
    const auto counts = by_name.find(name + std::string(counts_suffix));
    if (counts == by_name.end()) {
      throw tensor_error(sums, ErrorCode::missing, "sums", name + std::string(counts_suffix));
    }
    std::vector<float> values = floats_of(sums);
    const std::vector<float> times = floats_of(*counts->second);
    if (times.size() != sums.shape.rows()) {
      throw tensor_error(*counts->second, ErrorCode::shape_mismatch, std::to_string(times.size()) + " counts",
                         std::to_string(sums.shape.rows()));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float n = times[i / sums.shape.cols()];
      values[i] = n > 0 ? values[i] / n : 1;
    }
    all.emplace(std::move(name), std::move(values));
  }
  return all;
}

Importance read_entries(const ByteSource& source, const Limits& limits) {
  constexpr std::uint64_t least_entry = 12;
  ByteReader in(source.bytes(), source.name());
  const std::uint32_t n_entries = in.u32("entries");
  if (n_entries > in.left() / least_entry) {
    throw in.error(ErrorCode::truncated, 0, "entries", std::to_string(n_entries),
                   "at most " + std::to_string(in.left() / least_entry));
  }
  Importance all;
  for (std::uint32_t i = 0; i < n_entries; ++i) {
    const std::uint64_t begin = in.offset();
    const std::uint32_t length = in.u32("name");
    if (length == 0 || length > limits.tensor_name_bytes) {
      throw in.error(length == 0 ? ErrorCode::malformed : ErrorCode::limit, begin, "name",
                     std::to_string(length) + " bytes", "1 to " + std::to_string(limits.tensor_name_bytes));
    }
    const auto text = in.take(length, "name");
    std::string name(reinterpret_cast<const char*>(text.data()), text.size());
    const auto calls = static_cast<float>(in.u32("calls"));
    const std::uint64_t count_at = in.offset();
    const std::uint32_t n = in.u32("values");
    if (n > in.left() / sizeof(float)) {
      throw in.error(ErrorCode::truncated, count_at, "values", std::to_string(n),
                     "at most " + std::to_string(in.left() / sizeof(float)));
    }
    std::vector<float> values(n);
    for (float& value : values) {
      const std::uint64_t at = in.offset();
      value = in.f32("value");
      if (!(value >= 0) || std::isinf(value)) {
        throw in.error(ErrorCode::out_of_range, at, "value", std::to_string(value),
                       "finite numbers, at least 0");
      }
      value = calls > 0 ? value / calls : 1;
    }
    if (!all.try_emplace(name, std::move(values)).second) {
      throw in.error(ErrorCode::duplicate, begin, "name", in_quotes(name), "each name once");
    }
  }
  return all;
}

}  // namespace

Importance read_importance(const ByteSource& source, const Limits& limits) {
  return translate_errors([&] {
    constexpr char magic[] = {'G', 'G', 'U', 'F'};
    const auto bytes = source.bytes();
    const bool gguf = bytes.size() >= sizeof magic && std::memcmp(bytes.data(), magic, sizeof magic) == 0;
    Importance all = gguf ? read_tensors(source, limits) : read_entries(source, limits);
    if (all.empty()) throw Error({.code = ErrorCode::missing, .source = source.name(), .field = "entries"});
    return all;
  });
}

}  // namespace nibble::inline v0
