// Plans of one or two steps over weights in memory, for running a single op through a backend.
// Used by the tests of kernels/.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "nibble/backend/backend.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble {

// Values with a few bits of mantissa less than a float, away from zero and of both signs.
inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::vector<float> out(n);
  for (float& x : out) {
    const float size = 0.1f + static_cast<float>(random() % 4096) / 4096.0f;
    x = (random() % 2 != 0 ? size : -size) * scale;
  }
  return out;
}

class ToyPlan {
 public:
  // A weight of `values` encoded in `format`; rows 0: a vector.
  WeightId weight(const std::string& name, const Format& format, std::uint64_t rows, std::uint64_t cols,
                  const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() / format.block_size * format.block_bytes);
    format.encode(values.data(), bytes.data(), values.size(), nullptr);
    return weight(name, format, rows, cols, std::move(bytes));
  }
  // The same of bytes that are encoded already; more of them than it needs do no harm.
  WeightId weight(const std::string& name, const Format& format, std::uint64_t rows, std::uint64_t cols,
                  std::vector<std::byte> bytes) {
    bytes_.push_back(std::make_unique<std::vector<std::byte>>(std::move(bytes)));
    names_.push_back(std::make_unique<std::string>(name));
    Tensor tensor;
    tensor.name = name;
    tensor.dtype = format.dtype;
    tensor.shape = rows == 0 ? Shape{cols} : Shape{rows, cols};
    tensor.bytes = *bytes_.back();
    checkpoint.tensors.emplace(name, tensor);
    rows_.push_back({.name = *names_.back(), .hf_name = "", .rows = rows, .cols = cols, .traits = 0});
    return static_cast<WeightId>(rows_.size() - 1);
  }

  std::uint32_t buffer(std::uint32_t width, Rows rows = Rows::tokens) {
    plan.buffers.push_back({.rows = rows, .width = width, .first_step = 0, .last_step = 1'000});
    return static_cast<std::uint32_t>(plan.buffers.size() - 1);
  }

  // Token t looks up row t of `inputs` (rows, width).
  Slot inputs(std::uint32_t width, const std::vector<float>& values) {
    const WeightId table = weight("inputs" + std::to_string(rows_.size()), *find_format(Dtype::F32),
                                  values.size() / width, width, values);
    const Slot out{buffer(width), 0, width};
    plan.steps.push_back({.op = Op::embed, .out = out, .a = {}, .b = {}, .w = table, .args = {}});
    return out;
  }

  // Chooses experts by `scores`, for a matmul of theirs to read.
  Slot route(Slot scores, std::uint32_t n_experts, std::uint32_t n_used, bool softmax_all) {
    const Slot out{buffer(2 * n_used), 0, 2 * n_used};
    plan.steps.push_back({.op = Op::route,
                          .out = out,
                          .a = scores,
                          .b = {},
                          .w = no_weight,
                          .args = {.n_experts = n_experts, .n_used = n_used, .softmax_all = softmax_all}});
    return out;
  }

  // The step's result is the plan's: its buffer holds the rows that want logits.
  void finish(Step step, std::uint32_t width) {
    step.out = {buffer(width, Rows::outputs), 0, width};
    plan.steps.push_back(step);
    plan.logits = step.out;
    plan.vocab_size = width;
    resolve();
  }
  void resolve() { weights = Weights::resolve(checkpoint, rows_, Config{}); }

  Plan plan;
  Weights weights;

  Checkpoint checkpoint;

 private:
  std::vector<std::unique_ptr<std::vector<std::byte>>> bytes_;
  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<TensorRow> rows_;
};

// Runs tokens 0, 1, 2, ... of one sequence, `chunk` at a time, all of them wanting logits.
inline std::vector<float> run_tokens(Backend& backend, const ToyPlan& toy, KvCache& cache, std::uint32_t n,
                                     std::uint32_t chunk, const std::stop_token& stop = {}) {
  std::vector<float> logits(std::size_t{n} * toy.plan.vocab_size);
  KvSequence sequence = cache.make_sequence();
  const BatchSequence sequences[] = {{&sequence}};
  for (std::uint32_t begin = 0; begin < n; begin += chunk) {
    const std::uint32_t size = std::min(chunk, n - begin);
    std::vector<std::int32_t> tokens;
    std::vector<std::uint32_t> positions, outputs;
    for (std::uint32_t i = 0; i < size; ++i) {
      tokens.push_back(static_cast<std::int32_t>(begin + i));
      positions.push_back(begin + i);
      outputs.push_back(i);
    }
    const std::vector<std::uint32_t> owner(size, 0);
    backend.copy_pages(cache.reserve(sequence, size));
    backend.run({.tokens = tokens,
                 .positions = positions,
                 .sequence = owner,
                 .outputs = outputs,
                 .sequences = sequences},
                std::span(logits).subspan(std::size_t{begin} * toy.plan.vocab_size,
                                          std::size_t{size} * toy.plan.vocab_size),
                stop);
    cache.commit(sequence, size);
  }
  cache.release(sequence);
  return logits;
}

inline std::vector<float> run_tokens(Backend& backend, const ToyPlan& toy, const BackendOptions& options,
                                     std::uint32_t n, std::uint32_t chunk) {
  KvCache cache(toy.plan.kv, options.kv_pages);
  return run_tokens(backend, toy, cache, n, chunk);
}

// Mean squared error relative to the mean square of what it should be.
struct Nmse {
  double error = 0, size = 0;

  void add(const std::vector<float>& got, const std::vector<float>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      error += (double{got[i]} - expected[i]) * (double{got[i]} - expected[i]);
      size += double{expected[i]} * expected[i];
    }
  }
  double value() const { return error / size; }
};

inline double nmse(const std::vector<float>& got, const std::vector<float>& expected) {
  Nmse n;
  n.add(got, expected);
  return n.value();
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace nibble
