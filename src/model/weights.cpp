// Finding an architecture's tensors in a checkpoint, under either naming, and checking each against its table
// row. Second step of the model stage; the only place that knows how Hugging Face files order the rows of q
// and k.
#include "nibble/model/weights.hpp"

#include <cstring>
#include <optional>

#include "nibble/quant/formats.hpp"
#include "src/model/four_bit.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::string_view layer_mark = "{L}";

Shape shape_of(const TensorRow& row, std::uint64_t rows) {
  return row.rows == 0 ? Shape{row.cols} : Shape{rows, row.cols};
}

Error tensor_error(ErrorCode code, const Tensor& tensor, std::string found, std::string allowed) {
  return Error({.code = code,
                .source = tensor.source,
                .position = at_byte(tensor.offset),
                .field = tensor.name,
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

void check(const Tensor& tensor, const TensorRow& row) {
  const Format* format = find_format(tensor.dtype);
  const bool is_float = format != nullptr && format->codes.group == 0;
  if (format == nullptr || (row.rows == 0 && !is_float)) {
    throw tensor_error(ErrorCode::unsupported, tensor,
                       "type " + std::to_string(static_cast<std::uint32_t>(tensor.dtype)),
                       row.rows == 0 ? "F32, F16 or BF16 for a vector" : "a block format of this build");
  }
  const bool padded =
      (row.traits & padded_rows) != 0 && tensor.shape.rank() == 2 && tensor.shape[0] > row.rows;
  const Shape expected = shape_of(row, padded ? tensor.shape[0] : row.rows);
  if (tensor.shape != expected) {
    throw tensor_error(ErrorCode::shape_mismatch, tensor, to_string(tensor.shape), to_string(expected));
  }
}

using OwnBytes = std::shared_ptr<const std::vector<std::byte>>;

// Rows as GGUF orders them: of the `dim` that turn in each head, the row of pair j's first half, then of its
// second.
OwnBytes interleave_halves(const Tensor& tensor, std::uint64_t n_rows, const Config& config) {
  const std::size_t bytes = tensor.bytes.size() / n_rows, dim = config.rope.dim;
  auto out = std::make_shared<std::vector<std::byte>>(tensor.bytes.size());
  for (std::size_t row = 0; row < n_rows; ++row) {
    const std::size_t in_head = row % config.head_dim, head = row - in_head;
    const std::size_t from = in_head < dim ? head + in_head % 2 * (dim / 2) + in_head / 2 : row;
    std::memcpy(out->data() + row * bytes, tensor.bytes.data() + from * bytes, bytes);
  }
  return out;
}

OwnBytes add_one(const Tensor& tensor) {
  std::vector<float> values(tensor.shape.elements());
  find_format(tensor.dtype)->decode(tensor.bytes.data(), values.data(), values.size());
  for (float& value : values) value += 1.0f;
  const auto bytes = std::as_bytes(std::span(values));
  return std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
}

Weight make_weight(Weight weight, const TensorRow& row, std::string name, const Config& config, bool hf) {
  check(weight.tensor, row);
  Tensor& tensor = weight.tensor;
  tensor.name = std::move(name);
  if (row.rows != 0) {
    tensor.bytes = tensor.bytes.first(tensor.bytes.size() / tensor.shape[0] * row.rows);
    tensor.shape = shape_of(row, row.rows);
  }
  if (hf && (row.traits & rope_rows) != 0) {
    weight.own = interleave_halves(tensor, row.rows == 0 ? row.cols : row.rows, config);
    tensor.bytes = *weight.own;
  } else if (hf && (row.traits & plus1) != 0) {
    weight.own = add_one(tensor);
    tensor.dtype = Dtype::F32;
    tensor.bytes = *weight.own;
  }
  return weight;
}

// A model of text and images has its text part's tensors one level down; which one changed over the years.
std::vector<std::string> names_of(const Checkpoint& checkpoint, const std::string& name) {
  if (checkpoint.container != Container::safetensors) return {name};
  std::vector<std::string> names = {name, "language_model." + name};
  if (name.starts_with("model.")) names.push_back("model.language_model." + name.substr(6));
  return names;
}

std::optional<Weight> find_weight(const Checkpoint& checkpoint, const FourBit& four_bit,
                                  const std::string& name) {
  for (const std::string& one : names_of(checkpoint, name)) {
    if (const Tensor* tensor = checkpoint.find(one)) return Weight{.tensor = *tensor, .own = nullptr};
    if (auto weight = find_four_bit(checkpoint, four_bit, one)) return weight;
  }
  return std::nullopt;
}

}  // namespace

std::string layer_name(std::string_view pattern, std::uint32_t layer) {
  const std::size_t at = pattern.find(layer_mark);
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + std::to_string(layer) +
         std::string(pattern.substr(at + layer_mark.size()));
}

Weights Weights::resolve(const Checkpoint& checkpoint, std::span<const TensorRow> table,
                         const Config& config) {
  Weights weights;
  weights.files_ = checkpoint.files;
  const bool hf = checkpoint.container == Container::safetensors;
  const FourBit four_bit = hf ? read_four_bit(checkpoint.metadata) : FourBit();
  for (const TensorRow& row : table) {
    const std::string_view pattern = hf ? row.hf_name : row.name;
    if (pattern.empty()) continue;
    const bool per_layer = row.name.find(layer_mark) != std::string_view::npos;
    for (std::uint32_t layer = 0; layer < (per_layer ? config.n_layers : 1); ++layer) {
      const std::string file_name = layer_name(pattern, layer);
      std::optional<Weight> found = find_weight(checkpoint, four_bit, file_name);
      if (!found && (row.traits & optional_tensor) == 0) {
        throw Error({.code = ErrorCode::missing, .source = checkpoint.source, .field = file_name});
      }
      if (!found) continue;
      std::string name = layer_name(row.name, layer);
      weights.by_name_.emplace(name, static_cast<WeightId>(weights.weights_.size()));
      weights.weights_.push_back(make_weight(*std::move(found), row, std::move(name), config, hf));
    }
  }
  return weights;
}

WeightId Weights::find(std::string_view name) const noexcept {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? no_weight : it->second;
}

WeightId Weights::get(std::string_view name) const {
  const WeightId id = find(name);
  if (id == no_weight)
    throw Error({.code = ErrorCode::internal, .source = "plan", .field = std::string(name)});
  return id;
}

std::vector<float> Weights::vector(WeightId id) const {
  const Tensor& tensor = weights_[id].tensor;
  std::vector<float> out(tensor.shape.elements());
  find_format(tensor.dtype)->decode(tensor.bytes.data(), out.data(), out.size());
  return out;
}

}  // namespace nibble::inline v0
