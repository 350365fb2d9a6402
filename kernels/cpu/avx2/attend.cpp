// Attention on AVX2.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/attend.hpp"

#include "kernels/cpu/avx2/avx2.hpp"

namespace nibble::inline v0::cpu::avx2 {

const AttendKernel attend_kernel = attend_on<xsimd::fma3<xsimd::avx2>>;

}  // namespace nibble::inline v0::cpu::avx2
