// The avx2 tier where the CPU has the dot products of AVX-VNNI as well.
// The same sources as kernels/cpu/avx2, and the same bits.
#include "kernels/cpu/avx2/dpbusd.hpp"
#include "kernels/cpu/avx2/kernel.hpp"

namespace nibble::inline v0::cpu::avx2_vnni {

extern const KernelTable table;
const KernelTable table = {.tier = "avx2",
                           .matmul = avx2::matmul<avx2::Dpbusd>,
                           .attend = &avx2::attend_kernel,
                           .floats = &avx2::floats};

}  // namespace nibble::inline v0::cpu::avx2_vnni
