// The tier for CPUs with AVX-512 and its int8 dot products.
// What it leaves out is portable's.
#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

namespace {

const MatmulKernel* matmul(const Format& format, std::size_t, std::size_t) {
  switch (format.family) {
    case Family::codes4: return codes4_kernel(format);
    case Family::codes4_high: return codes4_high_kernel(format);
    case Family::codes2: return codes2_kernel(format);
    case Family::codes8: return codes8_kernel(format);
    default: return float_kernel(format);
  }
}

}  // namespace

extern const KernelTable table;
const KernelTable table = {.tier = "avx512", .matmul = matmul, .attend = &attend_kernel, .floats = &floats};

}  // namespace nibble::inline v0::cpu::avx512
