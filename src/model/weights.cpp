// Finding an architecture's tensors in a checkpoint, under either naming, and checking each against its table
// row. Second step of the model stage; the only place that knows how Hugging Face files order the rows of q
// and k.
#include "nibble/model/weights.hpp"

#include <cstring>

#include "nibble/quant/formats.hpp"

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

Error missing(const Checkpoint& checkpoint, std::string name) {
  return Error({.code = ErrorCode::missing, .source = checkpoint.source, .field = std::move(name)});
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

// Rows as GGUF orders them: within each head, the row of pair j's first half, then of its second.
std::shared_ptr<const std::vector<std::byte>> interleave_halves(const Tensor& tensor, std::uint64_t n_rows,
                                                                std::uint32_t head_dim) {
  const std::size_t bytes = tensor.bytes.size() / n_rows;
  auto out = std::make_shared<std::vector<std::byte>>(tensor.bytes.size());
  for (std::size_t row = 0; row < n_rows; ++row) {
    const std::size_t head = row / head_dim * head_dim;
    const std::size_t in_head = row % head_dim;
    const std::size_t from = head + (in_head % 2) * (head_dim / 2) + in_head / 2;
    std::memcpy(out->data() + row * bytes, tensor.bytes.data() + from * bytes, bytes);
  }
  return out;
}

Weight make_weight(const Tensor& tensor, const TensorRow& row, std::string name, std::uint32_t reorder_head) {
  check(tensor, row);
  Weight weight;
  weight.tensor = tensor;
  weight.tensor.name = std::move(name);
  if (row.rows != 0) {
    weight.tensor.bytes = tensor.bytes.first(tensor.bytes.size() / tensor.shape[0] * row.rows);
    weight.tensor.shape = shape_of(row, row.rows);
  }
  if (reorder_head != 0) {
    weight.own = interleave_halves(weight.tensor, row.rows == 0 ? row.cols : row.rows, reorder_head);
    weight.tensor.bytes = *weight.own;
  }
  return weight;
}

std::string replace(std::string_view text, std::string_view mark, std::string_view by) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::string(text);
  return std::string(text.substr(0, at)).append(by).append(text.substr(at + mark.size()));
}

// One expert's weight, named as in files that keep experts apart: blk.3.ffn_gate.7.weight.
std::string expert_name(std::string_view stacked, std::uint32_t expert) {
  return replace(stacked, "_exps", "." + std::to_string(expert));
}

// The `i`-th of the parts that a tensor's first extent counts.
Tensor slice(const Tensor& whole, std::uint64_t i) {
  Tensor part = whole;
  part.shape = {};
  for (std::size_t d = 1; d < whole.shape.rank(); ++d) part.shape.push_back(whole.shape[d]);
  const std::size_t bytes = whole.bytes.size() / whole.shape[0];
  part.bytes = whole.bytes.subspan(i * bytes, bytes);
  part.offset += i * bytes;
  return part;
}

// What the file has of a row in one layer: nothing, its tensor, or those of its experts.
std::vector<Tensor> find_tensors(const Checkpoint& checkpoint, const TensorRow& row, std::uint32_t layer) {
  const bool hf = checkpoint.container == Container::safetensors;
  const std::string name = layer_name(hf ? row.hf_name : row.name, layer);
  const Tensor* whole = checkpoint.find(name);
  std::vector<Tensor> found;
  if (row.experts == 0 && whole != nullptr) found.push_back(*whole);
  if (row.experts != 0 && whole != nullptr) {
    if (whole->shape.rank() < 2 || whole->shape[0] != row.experts)
      throw tensor_error(ErrorCode::shape_mismatch, *whole, to_string(whole->shape),
                         to_string(file_shape(row)));
    for (std::uint32_t e = 0; e < row.experts; ++e) found.push_back(slice(*whole, e));
  }
  if (row.experts != 0 && whole == nullptr) {
    for (std::uint32_t e = 0; e < row.experts; ++e) {
      const std::string one = hf ? replace(name, "{E}", std::to_string(e)) : expert_name(name, e);
      const Tensor* tensor = checkpoint.find(one);
      if (tensor == nullptr && e == 0) break;
      if (tensor == nullptr) throw missing(checkpoint, one);
      found.push_back(*tensor);
    }
  }
  if (found.empty() && (row.traits & optional_tensor) == 0) throw missing(checkpoint, name);
  return found;
}

}  // namespace

std::string layer_name(std::string_view pattern, std::uint32_t layer) {
  return replace(pattern, layer_mark, std::to_string(layer));
}

Shape file_shape(const TensorRow& row) {
  Shape shape;
  for (const std::uint64_t extent : {std::uint64_t{row.experts}, row.rows})
    if (extent != 0) shape.push_back(extent);
  shape.push_back(row.cols);
  return shape;
}

Weights Weights::resolve(const Checkpoint& checkpoint, std::span<const TensorRow> table,
                         const Config& config) {
  Weights weights;
  weights.files_ = checkpoint.files;
  const bool hf = checkpoint.container == Container::safetensors;
  for (const TensorRow& row : table) {
    if ((hf ? row.hf_name : row.name).empty()) continue;
    const bool per_layer = row.name.find(layer_mark) != std::string_view::npos;
    for (std::uint32_t layer = 0; layer < (per_layer ? config.n_layers : 1); ++layer)
      weights.add(checkpoint, row, layer, config);
  }
  return weights;
}

void Weights::add(const Checkpoint& checkpoint, const TensorRow& row, std::uint32_t layer,
                  const Config& config) {
  const std::vector<Tensor> tensors = find_tensors(checkpoint, row, layer);
  if (tensors.empty()) return;
  const bool reorder = checkpoint.container == Container::safetensors && (row.traits & rope_rows) != 0;
  const std::string name = layer_name(row.name, layer);
  by_name_.emplace(name, static_cast<WeightId>(weights_.size()));
  for (std::uint32_t e = 0; e < tensors.size(); ++e) {
    if (tensors[e].dtype != tensors[0].dtype) {
      throw tensor_error(ErrorCode::unsupported, tensors[e], "another type than that of expert 0",
                         "experts of one type");
    }
    weights_.push_back(make_weight(tensors[e], row, row.experts == 0 ? name : expert_name(name, e),
                                   reorder ? config.head_dim : 0));
  }
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
