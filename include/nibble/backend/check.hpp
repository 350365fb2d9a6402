// What every backend demands of a plan and of a batch before it touches them.
// First step of each backend's prepare() and run().
#pragma once

#include <span>

#include "nibble/backend/backend.hpp"

namespace nibble::inline v0 {

// Every slot inside its buffer and alive, every width and weight as its op needs it, every format known.
// Errors: unsupported (an op or format this build lacks), internal (a plan that contradicts itself),
// positioned by the step.
NIBBLE_API void check_plan(const Plan& plan, const Weights& weights);

// Sizes within the options, tokens in the vocabulary, sequences and positions as Batch demands, pages present
// and in the pool, place for `n_logits` floats. Errors: invalid_argument.
NIBBLE_API void check_batch(const Batch& batch, const Plan& plan, const Weights& weights,
                            const BackendOptions& options, std::uint64_t n_logits);

// The token that row i of a buffer belongs to.
inline std::uint32_t token_of(const Batch& batch, Rows rows, std::uint32_t i) {
  return rows == Rows::tokens ? i : batch.outputs[i];
}

}  // namespace nibble::inline v0
