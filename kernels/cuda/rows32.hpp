// The family that runs every format.
// Named by families.cpp.
#pragma once

#include "kernels/cuda/table.hpp"

namespace nibble::inline v0::cuda {

extern const MatrixFamily rows32;

}  // namespace nibble::inline v0::cuda
