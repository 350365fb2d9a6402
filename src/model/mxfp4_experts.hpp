// Experts as gpt-oss's Hugging Face files hold them: MXFP4 codes and scales apart, rows of gate and up by
// turns. Between the checkpoint and weights.cpp, which wants a tensor for each expert.
#pragma once

#include <cstdint>

#include "nibble/model/weights.hpp"

namespace nibble::inline v0 {

// Rows begin, begin + step, ... of a file's rows.
struct RowChoice {
  std::uint64_t begin = 0, step = 1;
};

// One expert's matrix out of `blocks` (experts, rows, cols / 32, 16), whose bytes hold two neighbouring codes
// each, and `scales` (experts, rows, cols / 32). Errors: shape_mismatch.
Weight mxfp4_expert(const Tensor& blocks, const Tensor& scales, std::uint32_t expert, RowChoice choice);

// Chosen elements of a vector.
Weight choose_elements(const Tensor& vector, RowChoice choice);

}  // namespace nibble::inline v0
