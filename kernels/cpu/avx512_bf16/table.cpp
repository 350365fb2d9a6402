// The avx512 tier with dot products of BF16 for the matrices of that format: twice as fast, and activations
// lose 16 bits there, so it runs where it is asked for by name. All else is kernels/cpu/avx512's.
#include "kernels/cpu/avx512_bf16/avx512_bf16.hpp"

namespace nibble::inline v0::cpu {

namespace avx512 {
extern const KernelTable table;
}

namespace avx512_bf16 {

namespace {

const MatmulKernel* matmul(const Format& format, std::size_t rows, std::size_t cols) {
  return format.dtype == Dtype::BF16 ? &bf16_kernel : avx512::table.matmul(format, rows, cols);
}

}  // namespace

extern const KernelTable table;
const KernelTable table = {
    .tier = "avx512_bf16", .matmul = matmul, .attend = &avx512::attend_kernel, .floats = &avx512::floats};

}  // namespace avx512_bf16

}  // namespace nibble::inline v0::cpu
