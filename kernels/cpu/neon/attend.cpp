// Attention on NEON.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/attend.hpp"

#include "kernels/cpu/neon/neon.hpp"

namespace nibble::inline v0::cpu::neon {

const AttendKernel attend_kernel = attend_on<xsimd::neon64>;

}  // namespace nibble::inline v0::cpu::neon
