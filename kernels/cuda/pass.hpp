// One batch through all steps of the plan.
// Between CudaBackend::run and the kernels.
#pragma once

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// What a batch is run for: rows of logits, or, where a ranking asks for any, these in short.
struct Results {
  std::span<float> logits = {};  // (outputs, vocab_size)
  RankOptions ranking = {.n = 0};
  std::span<RankedRow> ranked = {};  // (outputs)

  // Rows [first, first + n).
  Results part(std::size_t first, std::size_t n, std::size_t vocab_size) const {
    if (ranking.n != 0) {
      Results part{.ranking = ranking, .ranked = ranked.subspan(first, n)};
      if (!ranking.draws.empty()) part.ranking.draws = ranking.draws.subspan(first, n);
      return part;
    }
    return {.logits = logits.subspan(first * vocab_size, n * vocab_size)};
  }
};

// Returns once the results are there. A batch whose sequences share so many pages that its page table
// outgrows its place is run in parts. Passes of few tokens are recorded, and later repeated; the next one may
// have begun when this returns, and writes nothing but what is beyond every sequence's length. Errors:
// cancelled, device_lost.
void run_batch(const Prepared& prepared, Passes& passes, Runtime& runtime, const BackendOptions& options,
               const Batch& batch, const Results& results, const std::stop_token& stop);

}  // namespace nibble::inline v0::cuda
