// The tier for CPUs with AVX2.
// What it leaves out is portable's.
#include "kernels/cpu/avx2/kernel.hpp"
#include "kernels/cpu/avx2/maddubs.hpp"

namespace nibble::inline v0::cpu::avx2 {

extern const KernelTable table;
const KernelTable table = {.tier = "avx2", .matmul = matmul<Maddubs>, .attend = nullptr, .floats = nullptr};

}  // namespace nibble::inline v0::cpu::avx2
