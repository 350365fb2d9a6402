// The tier for CPUs with AVX2.
// Its int8 dot products are those of maddubs.
#include "kernels/cpu/avx2/kernel.hpp"
#include "kernels/cpu/avx2/maddubs.hpp"

namespace nibble::inline v0::cpu::avx2 {

extern const KernelTable table;
const KernelTable table = {
    .tier = "avx2", .matmul = matmul<Maddubs>, .attend = &attend_kernel, .floats = &floats};

}  // namespace nibble::inline v0::cpu::avx2
