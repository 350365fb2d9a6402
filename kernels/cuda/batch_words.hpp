// What a batch brings along, in words: tokens, positions, which row is whose, and where its pages are.
// Between pass.cpp, which sends them in one copy, and the kernels, which read them on the device.
#pragma once

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// Tokens [0, n) of the batch whose pages find a place in the table.
std::size_t fitting_tokens(const Prepared& prepared, const BackendOptions& options, const Batch& batch);

// Words that were written, and what they have in common with those that were there.
struct WrittenWords {
  std::uint64_t n = 0;                   // from the first on
  std::uint64_t n_draws = 0;             // from BatchPlaces::draws on
  bool same_tokens = true, same = true;  // tokens at their positions; all
};
// Into Prepared::batch. Sequences are numbered anew, in the order of the batch.
WrittenWords write_words(const Prepared& prepared, const BackendOptions& options, const Batch& batch,
                         const RankOptions& ranking);

// Whether each token is its sequence's only one and wants an output, and the token after it sees the same
// pages: then a ranked pass leaves on the device all that the pass after it needs.
bool can_go_on(const Prepared& prepared, const Batch& batch);
// What a ranked pass does to a token that wants an output, in Prepared::batch too.
void go_on(const Prepared& prepared, std::uint32_t token, std::uint32_t next);

}  // namespace nibble::inline v0::cuda
