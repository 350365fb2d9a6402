// Where everything of a prepared CUDA backend lies on the device: weights, KV pages, buffers; to the byte.
// Between the plan and backend.cpp: plan_memory() reports it, prepare() takes it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/phases.hpp"
#include "kernels/cuda/table.hpp"
#include "nibble/backend/backend.hpp"

namespace nibble::inline v0::cuda {

struct WeightPlace {
  const MatrixFamily* family = nullptr;  // of a matrix
  bool floats = false;                   // a vector, decoded
  const Format* format = nullptr;
  std::uint32_t rows = 0, cols = 0;
  std::uint64_t offset = 0, bytes = 0;  // in the block of weights; 0 bytes: no step names it
};

// What a batch brings along, in one block, in words: from here on so many of each.
struct BatchPlaces {
  std::uint64_t tokens = 0, positions = 0, sequence = 0;  // (max_tokens)
  std::uint64_t outputs = 0;                              // (max_outputs)
  std::uint64_t first = 0;                                // (layers, max_tokens): PagesOfLayer::first
  std::uint64_t table = 0;                                // (kv_pages)
  std::uint64_t draws = 0;                                // (rows that can be ranked): ForeseenDraws
  std::uint64_t words = 0;
};

// Where logits are ranked, in the block of activations.
struct RankPlaces {
  std::uint32_t rows = 0;   // that can be ranked in one batch
  std::uint32_t parts = 0;  // of a row
  std::uint64_t totals = 0, keys[2] = {};
  std::uint32_t record_bytes = 0;  // of RankRecords
  std::uint64_t host_bytes() const { return std::uint64_t{2} * rows * record_bytes; }
};

struct Layout {
  std::vector<WeightPlace> weights;  // by WeightId
  std::vector<Phase> phases;
  std::vector<std::uint64_t> ropes, orders;  // in the block of weights: inverse frequencies, columns
  // In the block of activations.
  std::vector<std::uint64_t> buffers, strides;  // by the plan's buffers; strides in floats
  std::vector<std::uint64_t> angles;            // by the plan's ropes
  std::uint64_t scratch = 0, batch = 0;
  BatchPlaces in_batch;
  RankPlaces ranking;
  std::uint64_t page_bytes = 0;
  MemoryUse memory;
};

// Errors: limit (more than 64 bits hold), unsupported (heads or matrices larger than kernels take).
Layout lay_out(const Plan& plan, const Weights& weights, const BackendOptions& options);

}  // namespace nibble::inline v0::cuda
