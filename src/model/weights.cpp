// Finding an architecture's tensors in a checkpoint, under either naming, and checking each against its table
// row. Second step of the model stage; the only place that knows how Hugging Face files order the rows of q
// and k.
#include "nibble/model/weights.hpp"

#include <cstring>
#include <optional>

#include "nibble/quant/formats.hpp"
#include "src/model/four_bit.hpp"
#include "src/model/mxfp4_experts.hpp"

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

// A model of text and images has its text part's tensors one level down; which one changed over the years.
std::vector<std::string> names_of(const Checkpoint& checkpoint, const std::string& name) {
  if (checkpoint.container != Container::safetensors) return {name};
  std::vector<std::string> names = {name, "language_model." + name};
  if (name.starts_with("model.")) names.push_back("model.language_model." + name.substr(6));
  return names;
}

const Tensor* find_tensor(const Checkpoint& checkpoint, const std::string& name) {
  for (const std::string& one : names_of(checkpoint, name)) {
    if (const Tensor* tensor = checkpoint.find(one)) return tensor;
  }
  return nullptr;
}

std::optional<Weight> find_weight(const Checkpoint& checkpoint, const std::string& name) {
  if (const Tensor* tensor = find_tensor(checkpoint, name)) return Weight{.tensor = *tensor, .own = nullptr};
  if (checkpoint.container == Container::gguf) return std::nullopt;
  const FourBit four_bit = read_four_bit(checkpoint.metadata);
  for (const std::string& one : names_of(checkpoint, name)) {
    if (auto weight = find_four_bit(checkpoint, four_bit, one)) return weight;
  }
  return std::nullopt;
}

void check_experts(const Tensor& stacked, const TensorRow& row) {
  if (stacked.shape.rank() < 2 || stacked.shape[0] != row.experts)
    throw tensor_error(ErrorCode::shape_mismatch, stacked, to_string(stacked.shape),
                       to_string(file_shape(row)));
}

// The experts of a row, in one tensor or in one for each; none where the first is missing.
std::vector<Weight> find_experts(const Checkpoint& checkpoint, const TensorRow& row,
                                 const std::string& name) {
  const bool hf = checkpoint.container == Container::safetensors;
  const RowChoice choice{(row.traits & odd_rows) != 0 ? 1u : 0u,
                         (row.traits & (even_rows | odd_rows)) != 0 ? 2u : 1u};
  const Tensor* whole = find_tensor(checkpoint, name);
  const Tensor* blocks = hf ? find_tensor(checkpoint, name + "_blocks") : nullptr;
  const Tensor* scales = hf ? find_tensor(checkpoint, name + "_scales") : nullptr;
  if (hf && whole != nullptr && row.rows != 0 && choice.step != 1) {
    throw tensor_error(ErrorCode::unsupported, *whole, "experts that are not in MXFP4",
                       name + "_blocks and " + name + "_scales");
  }
  if (whole != nullptr) check_experts(*whole, row);
  if (blocks != nullptr) check_experts(*blocks, row);
  std::vector<Weight> found;
  for (std::uint32_t e = 0; e < row.experts; ++e) {
    if (whole != nullptr) {
      const Tensor one = slice(*whole, e);
      found.push_back(hf && choice.step != 1 ? choose_elements(one, choice)
                                             : Weight{.tensor = one, .own = nullptr});
    } else if (blocks != nullptr && scales != nullptr) {
      found.push_back(mxfp4_expert(*blocks, *scales, e, choice));
    } else {
      const std::string one = hf ? replace(name, "{E}", std::to_string(e)) : expert_name(name, e);
      auto weight = find_weight(checkpoint, one);
      if (!weight && e == 0) break;
      if (!weight) throw missing(checkpoint, one);
      if (!weight->order.empty()) {
        throw tensor_error(ErrorCode::unsupported, weight->tensor,
                           "groups of inputs out of order (act-order)",
                           "experts that share one order of inputs");
      }
      found.push_back(*std::move(weight));
    }
  }
  return found;
}

// What the file has of a row in one layer: nothing, its tensor, or those of its experts.
std::vector<Weight> find_weights(const Checkpoint& checkpoint, const TensorRow& row, std::uint32_t layer) {
  const bool hf = checkpoint.container == Container::safetensors;
  const std::string name = layer_name(hf ? row.hf_name : row.name, layer);
  std::vector<Weight> found;
  if (row.experts != 0) {
    found = find_experts(checkpoint, row, name);
  } else if (auto one = find_weight(checkpoint, name)) {
    found.push_back(*std::move(one));
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
  std::vector<Weight> found = find_weights(checkpoint, row, layer);
  if (found.empty()) return;
  const Dtype dtype = found[0].tensor.dtype;
  const std::string name = layer_name(row.name, layer);
  by_name_.emplace(name, static_cast<WeightId>(weights_.size()));
  for (std::uint32_t e = 0; e < found.size(); ++e) {
    if (found[e].tensor.dtype != dtype) {
      throw tensor_error(ErrorCode::unsupported, found[e].tensor, "another type than that of expert 0",
                         "experts of one type");
    }
    const std::string own_name = row.experts == 0 ? name : expert_name(name, e);
    by_name_.emplace(own_name, static_cast<WeightId>(weights_.size()));
    weights_.push_back(make_weight(std::move(found[e]), row, own_name, config,
                                   checkpoint.container == Container::safetensors));
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
