// The tier for 64-bit ARM with int8 dot products (dotprod).
// Its int8 matmuls are made of dot products.
#include "kernels/cpu/neon/kernel.hpp"

namespace nibble::inline v0::cpu::neon {

extern const KernelTable table;
const KernelTable table = {
    .tier = "neon", .matmul = matmul<Dots>, .attend = &attend_kernel, .floats = &floats};

}  // namespace nibble::inline v0::cpu::neon
