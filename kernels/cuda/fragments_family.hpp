// The family of packed matrices of codes that tensor cores multiply.
// One of the families listed by matrix_families().
#pragma once

#include "kernels/cuda/table.hpp"

namespace nibble::inline v0::cuda {

// Every format with codes; rows of any number, columns as the format has them.
extern const MatrixFamily fragments_family;

// How outputs are shared out to blocks; which is fastest depends on how many rows of inputs there are. None
// changes a bit of an output.
// The last is for dense matmuls on devices with warpgroups.
enum class BlockShape : std::uint8_t { few_inputs, some_inputs, many_inputs, by_warpgroups };

// What fragments_family.multiply takes.
BlockShape best_shape(const Runtime& runtime, const Multiply& work);

void multiply_in(Runtime& runtime, const Multiply& work, BlockShape shape);

}  // namespace nibble::inline v0::cuda
