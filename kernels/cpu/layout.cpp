// Laying out a prepared CPU backend, without taking any of it.
// First half of prepare().
#include "kernels/cpu/layout.hpp"

#include <algorithm>

#include "kernels/cpu/attend.hpp"
#include "nibble/core/aligned_bytes.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {

namespace {

// Floats from one row of a buffer to the next: an odd number of lines, since rows a power of two apart would
// share a few sets of every cache.
std::uint64_t row_stride(std::uint64_t width) {
  constexpr std::uint64_t line = line_bytes / sizeof(float);
  const std::uint64_t lines = (width + line - 1) / line;
  return (lines | 1) * line;
}

class Layouter {
 public:
  Layouter(const Plan& plan, const Weights& weights, const Kernels& kernels, const BackendOptions& options)
      : plan_(plan), weights_(weights), kernels_(kernels), options_(options) {
    out_.weights.resize(weights.size());
  }

  Layout run(std::uint32_t threads) {
    for (const Step& step : plan_.steps) use_weights(step);
    place_weights();
    out_.phases = find_phases(plan_, out_.weights);
    place_buffers();
    for (const RopeTable& rope : plan_.ropes) {
      out_.angles.push_back(
          take(multiply_bytes(options_.max_tokens, 2 * rope.inverse_frequency.size() * sizeof(float))));
    }
    for (const Step& step : plan_.steps) measure(step, threads);
    out_.converted = take(converted_bytes_);
    out_.scratch_stride = align_bytes(scratch_bytes_);
    out_.scratch = take(multiply_bytes(out_.scratch_stride, threads));
    out_.attend_shared = take(attend_shared_bytes_);
    out_.page_bytes = kv_page_bytes(plan_.kv, options_.kv_type);
    out_.memory.kv = multiply_bytes(out_.page_bytes, options_.kv_pages);
    return std::move(out_);
  }

 private:
  // The next bytes of the block of activations.
  std::uint64_t take(std::uint64_t bytes) {
    const std::uint64_t offset = out_.memory.activations;
    out_.memory.activations = align_bytes(add_bytes(offset, bytes));
    return offset;
  }

  // A matrix that only embed reads stays where it is.
  void use_weights(const Step& step) {
    if (step.w == no_weight) return;
    for (std::uint32_t i = 0; i < n_matrices(step); ++i) use_weight(step, step.w + i);
    if (step.op != Op::matmul || step.args.bias == no_weight) return;
    for (std::uint32_t i = 0; i < n_matrices(step); ++i) use_vector(step.args.bias + i);
  }

  void use_weight(const Step& step, WeightId id) {
    WeightPlace& place = out_.weights[id];
    const Tensor& tensor = weights_[id].tensor;
    place.format = find_format(tensor.dtype);
    place.rows = tensor.shape.rows();
    place.cols = tensor.shape.cols();
    if (step.op == Op::norm || step.op == Op::attend) {
      place.keep = Keep::floats;
    } else if (step.op == Op::matmul) {
      place.kernel = &kernels_.matmul(*place.format, place.rows, place.cols);
      place.keep = place.kernel->pack != nullptr ? Keep::packed : Keep::in_place;
    } else if (place.keep == Keep::unused) {
      place.kernel = kernels_.portable->matmul(*place.format, place.rows, place.cols);
      place.keep = Keep::looked_up;
    }
  }

  void use_vector(WeightId id) {
    const Tensor& tensor = weights_[id].tensor;
    WeightPlace& place = out_.weights[id];
    place.keep = Keep::floats;
    place.format = find_format(tensor.dtype);
    place.rows = 1;
    place.cols = tensor.shape.elements();
  }

  void place_weights() {
    for (WeightPlace& place : out_.weights) {
      if (place.keep == Keep::unused) continue;
      const bool in_file = place.keep == Keep::in_place || place.keep == Keep::looked_up;
      place.bytes = in_file ? place.rows * row_bytes(*place.format, place.cols)
                    : place.keep == Keep::packed
                        ? place.kernel->packed_bytes(*place.format, place.rows, place.cols)
                        : place.cols * sizeof(float);
      if (place.keep == Keep::in_place) {
        out_.memory.mapped += place.bytes;
      } else if (!in_file) {
        place.offset = out_.memory.weights;
        out_.memory.weights = align_bytes(add_bytes(place.offset, place.bytes));
      }
    }
  }

  // When each step runs: two moments a phase, the rows' and the shared steps'.
  std::vector<std::uint32_t> moments() const {
    std::vector<std::uint32_t> moments(plan_.steps.size());
    for (std::uint32_t p = 0; p < out_.phases.size(); ++p) {
      const Phase& phase = out_.phases[p];
      for (std::uint32_t i = phase.first; i < phase.last; ++i) moments[i] = 2 * p + (i >= phase.shared);
    }
    return moments;
  }

  // The logits go straight into the caller's memory.
  void place_buffers() {
    const std::vector<std::uint32_t> moment = moments();
    const auto at = [&](std::uint32_t step) {
      return moment[std::min<std::size_t>(step, moment.size() - 1)];
    };
    for (const Extent& extent : plan_.buffers) {
      const bool logits = &extent == &plan_.buffers[plan_.logits.buffer];
      const std::uint64_t rows = extent.rows == Rows::tokens ? options_.max_tokens : options_.max_outputs;
      const std::uint64_t stride = logits ? extent.width : row_stride(extent.width);
      const std::uint64_t bytes = logits ? 0 : multiply_bytes(rows, stride * sizeof(float));
      out_.strides.push_back(stride);
      out_.buffers.push_back({.bytes = bytes, .first = at(extent.first_step), .last = at(extent.last_step)});
    }
    take(place(out_.buffers));
  }

  void measure(const Step& step, std::uint32_t threads) {
    if (step.op == Op::matmul) {
      const WeightPlace& place = out_.weights[step.w];
      const Extent& out = plan_.buffers[step.out.buffer];
      const std::uint64_t rows = out.rows == Rows::tokens ? options_.max_tokens : options_.max_outputs;
      const std::uint64_t uses = rows * std::max(1u, step.args.n_used);
      const bool experts = step.args.n_experts != 0;
      converted_bytes_ =
          std::max(converted_bytes_, multiply_bytes(uses, place.kernel->form->bytes(place.cols)));
      scratch_bytes_ = std::max(scratch_bytes_, add_bytes(place.kernel->scratch_bytes(place.cols),
                                                          experts ? expert_tile * sizeof(float) : 0));
    } else if (step.op == Op::attend) {
      scratch_bytes_ = std::max(scratch_bytes_, attend_scratch_bytes(*kernels_.attend, step.args));
      attend_shared_bytes_ =
          std::max(attend_shared_bytes_, attend_shared_bytes(*kernels_.attend, step.args, threads));
    }
  }

  const Plan& plan_;
  const Weights& weights_;
  const Kernels& kernels_;
  const BackendOptions& options_;
  Layout out_;
  std::uint64_t converted_bytes_ = 0, scratch_bytes_ = 0, attend_shared_bytes_ = 0;
};

}  // namespace

Layout lay_out(const Plan& plan, const Weights& weights, const Kernels& kernels,
               const BackendOptions& options, std::uint32_t threads) {
  return Layouter(plan, weights, kernels, options).run(threads);
}

}  // namespace nibble::inline v0::cpu
