// The portable tier: complete, for every format and every CPU.
// Last of the list in kernels/cpu/CMakeLists.txt; other tiers inherit from it what they lack.
#include "kernels/cpu/portable/portable.hpp"

namespace nibble::inline v0::cpu::portable {

namespace {
const MatmulKernel* matmul(const Format&, std::size_t, std::size_t) { return &matmul_kernel; }
}  // namespace

extern const KernelTable table;
const KernelTable table = {
    .tier = "portable", .matmul = matmul, .attend = &attend_kernel, .floats = &float_kernels};

}  // namespace nibble::inline v0::cpu::portable
