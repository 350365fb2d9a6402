// Attention on AVX-512.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/attend.hpp"

#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

const AttendKernel attend_kernel = attend_on<xsimd::avx512bw>;

}  // namespace nibble::inline v0::cpu::avx512
