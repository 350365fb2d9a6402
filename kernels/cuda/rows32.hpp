// The family of F32, F16 and BF16.
// Named by families.cpp.
#pragma once

#include "kernels/cuda/table.hpp"

namespace nibble::inline v0::cuda {

extern const MatrixFamily rows32;

}  // namespace nibble::inline v0::cuda
