// Ranking a pass's rows of logits: its launches, and reading what they leave.
// Between pass.cpp and rank_kernels.hpp.
#pragma once

#include <span>

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// After the pass's last step; shape.n_ranked of each row.
void launch_ranking(const Prepared& prepared, Runtime& runtime, const PassShape& shape);
// What that has left, once it is done; Prepared::batch goes on as the words on the device have.
void read_ranking(const Prepared& prepared, const PassShape& shape, const Batch& batch,
                  std::span<RankedRow> rows);

}  // namespace nibble::inline v0::cuda
