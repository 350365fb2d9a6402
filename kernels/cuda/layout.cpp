// Laying out a prepared CUDA backend, without taking any of it.
// First half of prepare().
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <string>

#include "kernels/cuda/attend_cut.hpp"
#include "kernels/cuda/rank_kernels.hpp"
#include "kernels/memory.hpp"
#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cuda {

namespace {

constexpr std::uint64_t device_alignment = 256;
constexpr std::uint64_t most_blocks = 0x7fffffff;  // of a launch, along x
constexpr std::uint64_t most_stretches = 65535;    // along y

// Of a batch with more outputs logits come whole.
constexpr std::uint32_t most_ranked_rows = 64;

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
    out_.phases = find_phases(plan_, out_.weights);
    place_weights();
    place_buffers();
    for (const RopeTable& rope : plan_.ropes) {
      const std::uint64_t floats = multiply_bytes(options_.max_tokens, 2 * rope.inverse_frequency.size());
      out_.angles.push_back(take(out_.memory.activations, multiply_bytes(floats, sizeof(float))));
    }
    for (const Phase& phase : out_.phases) measure(phase);
    out_.scratch = take(out_.memory.activations, scratch_bytes_);
    place_batch();
    place_ranking();
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

  // Joined matrices without a gap, and then their biases. All others in the order of their ids, so that
  // experts' matrices follow each other at equal distances, and their biases without a gap.
  void place_weights() {
    std::vector<bool> placed(out_.weights.size());
    const auto put = [&](WeightId id) {
      if (id == no_weight || placed[id]) return;
      placed[id] = true;
      out_.weights[id].offset = out_.memory.weights;
      out_.memory.weights = add_bytes(out_.memory.weights, out_.weights[id].bytes);
    };
    for (const Phase& phase : out_.phases) {
      if (phase.kind != PhaseKind::matmuls && phase.kind != PhaseKind::gated) continue;
      out_.memory.weights = align(out_.memory.weights);
      for (std::uint32_t i = phase.first; i < phase.last; ++i) put(plan_.steps[i].w);
      for (std::uint32_t i = phase.first; i < phase.last; ++i) put(plan_.steps[i].args.bias);
    }
    for (WeightId id = 0; id < out_.weights.size(); ++id) {
      const bool is_matrix = out_.weights[id].family != nullptr;
      if (is_matrix && !placed[id]) out_.memory.weights = align(out_.memory.weights);
      put(id);
      if (is_matrix) out_.memory.weights = align(out_.memory.weights);
    }
    out_.memory.weights = align(out_.memory.weights);
    for (const RopeTable& rope : plan_.ropes)
      out_.ropes.push_back(take(out_.memory.weights, rope.inverse_frequency.size() * sizeof(float)));
    for (const auto& order : plan_.orders)
      out_.orders.push_back(take(out_.memory.weights, order.size() * sizeof(std::uint32_t)));
  }

  // A phase's steps may run at the same time: no two of its buffers share memory.
  void place_buffers() {
    std::vector<std::uint32_t> phase_of(plan_.steps.size());
    for (std::uint32_t p = 0; p < out_.phases.size(); ++p)
      for (std::uint32_t i = out_.phases[p].first; i < out_.phases[p].last; ++i) phase_of[i] = p;
    const auto at = [&](std::uint32_t step) {
      return phase_of[std::min<std::size_t>(step, phase_of.size() - 1)];
    };
    std::vector<Lifetime> lifetimes;
    for (const Extent& extent : plan_.buffers) {
      const std::uint64_t rows = extent.rows == Rows::tokens ? options_.max_tokens : options_.max_outputs;
      const std::uint64_t stride = ceil_div(extent.width, 4) * 4;
      checked("width", extent.width);
      out_.strides.push_back(stride);
      lifetimes.push_back({.bytes = align(multiply_bytes(rows, stride * sizeof(float))),
                           .first = at(extent.first_step),
                           .last = at(extent.last_step)});
    }
    take(out_.memory.activations, place(lifetimes));
    for (const Lifetime& lifetime : lifetimes) out_.buffers.push_back(lifetime.offset);
  }

  void measure(const Phase& phase) {
    const bool is_attend = phase.kind == PhaseKind::attend;
    const Step step = is_attend ? plan_.steps[phase.last - 1] : joined(plan_, phase);
    const std::uint64_t rows = rows_of(step.out);
    if (step.op == Op::matmul) {
      const WeightPlace& place = out_.weights[step.w];
      const std::uint64_t uses = multiply_bytes(rows, std::max(1u, step.args.n_used));
      const std::uint32_t of_matrix = step.args.n_experts != 0 ? place.rows : step.out.width;
      if (multiply_bytes(uses, ceil_div(of_matrix, 8)) > most_blocks)
        refuse("batch", rows, most_blocks / of_matrix);
      const std::uint64_t inputs = step.args.n_experts != 0 && step.a.width == place.cols ? rows : uses;
      scratch_bytes_ = std::max(scratch_bytes_, place.family->scratch_bytes(
                                                    place.cols, inputs, step.args.n_experts != 0 ? uses : 0));
    } else if (is_attend) {
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
    b.words = add_bytes(b.words, b.words % 2);
    b.draws = words(n_ranked_rows() * sizeof(ForeseenDraws) / sizeof(std::uint32_t));
    out_.batch = take(out_.memory.activations, multiply_bytes(b.words, sizeof(std::uint32_t)));
  }

  // Keys of all parts, then of the groups that they are merged in, by turns.
  void place_ranking() {
    RankPlaces& r = out_.ranking;
    r.rows = n_ranked_rows();
    r.parts = static_cast<std::uint32_t>(ceil_div(plan_.vocab_size, RankBlock::keys));
    const auto keys = [&](std::uint64_t lists) { return r.rows * lists * most_ranked * sizeof(RankKey); };
    r.totals = take(out_.memory.activations, std::uint64_t{r.rows} * r.parts * sizeof(RankTotal));
    r.keys[0] = take(out_.memory.activations, keys(r.parts));
    r.keys[1] =
        take(out_.memory.activations, keys(ceil_div(std::uint64_t{r.parts} * most_ranked, RankBlock::keys)));
    r.record_bytes = most_ranked * sizeof(RankKey) + sizeof(RankEnd);
  }
  std::uint32_t n_ranked_rows() const { return std::min(options_.max_outputs, most_ranked_rows); }

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
