// The neon tier where the CPU multiplies int8 matrices as well (i8mm).
// The same sources as kernels/cpu/neon, and the same bits.
#include "kernels/cpu/neon/kernel.hpp"
#include "kernels/cpu/neon/mmla_tile.hpp"

namespace nibble::inline v0::cpu::neon_i8mm {

extern const KernelTable table;
const KernelTable table = {.tier = "neon",
                           .matmul = neon::matmul<neon::Products>,
                           .attend = &neon::attend_kernel,
                           .floats = &neon::floats};

}  // namespace nibble::inline v0::cpu::neon_i8mm
