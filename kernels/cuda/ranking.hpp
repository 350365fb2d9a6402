// Ranking a pass's rows of logits: its launches, and reading what they leave.
// Between pass.cpp and rank_kernels.hpp.
#pragma once

#include <span>

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// After the pass's last step; shape.n_ranked of each row.
void launch_ranking(const Prepared& prepared, Runtime& runtime, const PassShape& shape);
// Waits for it. Errors: device_lost.
void read_ranking(const Prepared& prepared, Runtime& runtime, const PassShape& shape,
                  std::span<RankedRow> rows);

}  // namespace nibble::inline v0::cuda
