// The family of packed matrices of codes that tensor cores multiply.
// One of the families listed by matrix_families().
#pragma once

#include "kernels/cuda/table.hpp"

namespace nibble::inline v0::cuda {

// Every format with codes; rows of any number, columns as the format has them.
extern const MatrixFamily fragments_family;

}  // namespace nibble::inline v0::cuda
