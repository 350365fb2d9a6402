// Where everything of a prepared CPU backend lies: weights, KV pages, buffers, scratch; to the byte.
// Between the plan and backend.cpp: plan_memory() reports it, prepare() takes it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/dispatch.hpp"
#include "kernels/cpu/phases.hpp"
#include "kernels/memory.hpp"
#include "nibble/backend/backend.hpp"

namespace nibble::inline v0::cpu {

// How a weight is kept.
enum class Keep : std::uint8_t {
  unused,     // no step names it
  looked_up,  // a matrix, some of whose rows are read from the file's own bytes
  in_place,   // a matrix, all of which is
  packed,     // a matrix, rearranged by its kernel
  floats,     // a vector, decoded
};

struct WeightPlace {
  Keep keep = Keep::unused;
  const Format* format = nullptr;
  const MatmulKernel* kernel = nullptr;  // of a matrix
  std::uint64_t rows = 0, cols = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // in the block of weights; packed and floats
};

// Floats of a thread's scratch, before the kernel's, where outputs of one expert wait for their places.
inline constexpr std::size_t expert_tile = 1 << 14;

struct Layout {
  std::vector<WeightPlace> weights;  // by WeightId
  std::vector<Phase> phases;
  std::vector<Lifetime> buffers;       // by the plan's buffers; offsets in the block of activations
  std::vector<std::uint64_t> strides;  // by the plan\'s buffers: floats from row to row
  std::vector<std::uint64_t>
      angles;                   // by the plan's rope tables: (max_tokens, 2, pairs) floats, cos then sin
  std::uint64_t converted = 0;  // rows of one matmul's input, in its activation form
  std::uint64_t scratch = 0, scratch_stride = 0;  // one for each thread
  std::uint64_t attend_shared = 0;                // by all threads
  std::uint64_t page_bytes = 0;
  MemoryUse memory;
};

// Errors: those of kv_page_bytes; limit.
Layout lay_out(const Plan& plan, const Weights& weights, const Kernels& kernels,
               const BackendOptions& options, std::uint32_t threads);

}  // namespace nibble::inline v0::cpu
