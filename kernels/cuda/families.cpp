// The list of matrix families: one line each, best first.
// Between layout.cpp, which asks for the family of each matrix, and the families.
#include "kernels/cuda/fragments_family.hpp"
#include "kernels/cuda/rows32.hpp"

namespace nibble::inline v0::cuda {

namespace {

constexpr const MatrixFamily* families[] = {
    &fragments_family,
    &rows32,
};

}  // namespace

std::span<const MatrixFamily* const> matrix_families() noexcept { return families; }

}  // namespace nibble::inline v0::cuda
