// Laying out a prepared CUDA backend, without taking any of it.
// First half of prepare().
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <string>

#include "kernels/cuda/attend_cut.hpp"
#include "kernels/memory.hpp"
#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cuda {

namespace {

constexpr std::uint64_t device_alignment = 256;
constexpr std::uint64_t most_blocks = 0x7fffffff;  // of a launch, along x
constexpr std::uint64_t most_stretches = 65535;    // along y

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0); }
std::uint64_t align(std::uint64_t bytes) {
  return multiply_bytes(ceil_div(bytes, device_alignment), device_alignment);
}

[[noreturn]] void refuse(std::string field, std::uint64_t found, std::uint64_t allowed) {
  throw Error({.code = ErrorCode::unsupported,
               .source = "cuda backend",
               .field = std::move(field),
               .found = std::to_string(found),
               .allowed = "at most " + std::to_string(allowed)});
}

class Layouter {
 public:
  Layouter(const Plan& plan, const Weights& weights, const BackendOptions& options)
      : plan_(plan), weights_(weights), options_(options) {
    out_.weights.resize(weights.size());
  }

  Layout run() {
    for (const Step& step : plan_.steps) use_weights(step);
    place_weights();
    place_buffers();
    for (const RopeTable& rope : plan_.ropes) {
      const std::uint64_t floats = multiply_bytes(options_.max_tokens, 2 * rope.inverse_frequency.size());
      out_.angles.push_back(take(out_.memory.activations, multiply_bytes(floats, sizeof(float))));
    }
    for (const Step& step : plan_.steps) measure(step);
    out_.scratch = take(out_.memory.activations, scratch_bytes_);
    place_batch();
    out_.page_bytes = kv_page_bytes(plan_.kv, options_.kv_type);
    out_.memory.kv = multiply_bytes(out_.page_bytes, options_.kv_pages);
    return std::move(out_);
  }

 private:
  // The next bytes of a block.
  static std::uint64_t take(std::uint64_t& block, std::uint64_t bytes) {
    const std::uint64_t offset = block;
    block = align(add_bytes(offset, bytes));
    return offset;
  }
  std::uint64_t rows_of(const Slot& slot) const {
    return plan_.buffers[slot.buffer].rows == Rows::tokens ? options_.max_tokens : options_.max_outputs;
  }

  void use_weights(const Step& step) {
    if (step.w == no_weight) return;
    const bool vector = step.op == Op::norm || step.op == Op::attend;
    for (WeightId id = step.w; id < step.w + n_matrices(step); ++id) vector ? use_vector(id) : use_matrix(id);
    if (step.op != Op::matmul || step.args.bias == no_weight) return;
    for (std::uint32_t i = 0; i < n_matrices(step); ++i) use_vector(step.args.bias + i);
  }

  void use_vector(WeightId id) {
    const Tensor& tensor = weights_[id].tensor;
    WeightPlace& place = out_.weights[id];
    place.floats = true;
    place.format = find_format(tensor.dtype);
    place.rows = 1;
    place.cols = checked(tensor.name, tensor.shape.elements());
    place.bytes = multiply_bytes(place.cols, sizeof(float));
  }

  void use_matrix(WeightId id) {
    const Tensor& tensor = weights_[id].tensor;
    WeightPlace& place = out_.weights[id];
    place.format = find_format(tensor.dtype);
    place.rows = checked(tensor.name, tensor.shape.rows());
    place.cols = checked(tensor.name, tensor.shape.cols());
    place.family = *std::ranges::find_if(matrix_families(), [&](const MatrixFamily* family) {
      return family->takes(*place.format, place.rows, place.cols);
    });
    place.bytes = multiply_bytes(ceil_div(place.rows, place.family->row_tile),
                                 place.family->tile_bytes(*place.format, place.cols));
  }

  // Kernels count columns and rows in 32 bits, and stretches of columns in 16.
  static std::uint32_t checked(const std::string& name, std::uint64_t n) {
    constexpr std::uint64_t most = most_stretches * 64;
    if (n > most) refuse(name, n, most);
    return static_cast<std::uint32_t>(n);
  }

  // In the order of their ids, so that experts' matrices follow each other at equal distances, and their
  // biases without a gap.
  void place_weights() {
    for (WeightPlace& place : out_.weights) {
      std::uint64_t& end = out_.memory.weights;
      if (place.family != nullptr) end = align(end);
      place.offset = end;
      end = add_bytes(end, place.family != nullptr ? align(place.bytes) : place.bytes);
    }
    out_.memory.weights = align(out_.memory.weights);
    for (const RopeTable& rope : plan_.ropes)
      out_.ropes.push_back(take(out_.memory.weights, rope.inverse_frequency.size() * sizeof(float)));
    for (const auto& order : plan_.orders)
      out_.orders.push_back(take(out_.memory.weights, order.size() * sizeof(std::uint32_t)));
  }

  void place_buffers() {
    std::vector<Lifetime> lifetimes;
    for (const Extent& extent : plan_.buffers) {
      const std::uint64_t rows = extent.rows == Rows::tokens ? options_.max_tokens : options_.max_outputs;
      const std::uint64_t stride = ceil_div(extent.width, 4) * 4;
      checked("width", extent.width);
      out_.strides.push_back(stride);
      lifetimes.push_back({.bytes = align(multiply_bytes(rows, stride * sizeof(float))),
                           .first = extent.first_step,
                           .last = extent.last_step});
    }
    take(out_.memory.activations, place(lifetimes));
    for (const Lifetime& lifetime : lifetimes) out_.buffers.push_back(lifetime.offset);
  }

  void measure(const Step& step) {
    const std::uint64_t rows = rows_of(step.out);
    if (step.op == Op::matmul) {
      const WeightPlace& place = out_.weights[step.w];
      const std::uint64_t uses = multiply_bytes(rows, std::max(1u, step.args.n_used));
      if (multiply_bytes(uses, ceil_div(place.rows, 8)) > most_blocks)
        refuse("batch", rows, most_blocks / place.rows);
      const std::uint64_t inputs = step.args.n_experts != 0 && step.a.width == place.cols ? rows : uses;
      scratch_bytes_ = std::max(scratch_bytes_, place.family->scratch_bytes(
                                                    place.cols, inputs, step.args.n_experts != 0 ? uses : 0));
    } else if (step.op == Op::attend) {
      if (step.args.head_dim > most_head_dim) refuse("head_dim", step.args.head_dim, most_head_dim);
      const std::uint64_t queries = multiply_bytes(rows, step.args.n_heads);
      // Partial results, and what is known so far of each query.
      scratch_bytes_ =
          std::max(scratch_bytes_, multiply_bytes(most_partials + std::min(queries, most_partials),
                                                  (step.args.head_dim + 2) * sizeof(float)));
    }
  }

  void place_batch() {
    BatchPlaces& b = out_.in_batch;
    const auto words = [&](std::uint64_t n) {
      const std::uint64_t first = b.words;
      b.words = add_bytes(first, n);
      return first;
    };
    b.tokens = words(options_.max_tokens);
    b.positions = words(options_.max_tokens);
    b.sequence = words(options_.max_tokens);
    b.outputs = words(options_.max_outputs);
    b.first = words(multiply_bytes(plan_.kv.size(), options_.max_tokens));
    b.table = words(options_.kv_pages);
    out_.batch = take(out_.memory.activations, multiply_bytes(b.words, sizeof(std::uint32_t)));
  }

  const Plan& plan_;
  const Weights& weights_;
  const BackendOptions& options_;
  Layout out_;
  std::uint64_t scratch_bytes_ = 0;
};

}  // namespace

Layout lay_out(const Plan& plan, const Weights& weights, const BackendOptions& options) {
  return Layouter(plan, weights, options).run();
}

}  // namespace nibble::inline v0::cuda
