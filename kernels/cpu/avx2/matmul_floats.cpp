// Matmul of F32, F16 and BF16 weights on AVX2: 16 rows by 6 tokens in registers.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/matmul_floats.hpp"

#include "kernels/cpu/avx2/avx2.hpp"

namespace nibble::inline v0::cpu::avx2 {

namespace {
constexpr char float32_name[] = "float32/avx2", float16_name[] = "float16/avx2";
}

const MatmulKernel* float_kernel(const Format& format) {
  return FloatMatmul<xsimd::fma3<xsimd::avx2>, 2, 6>::find<float32_name, float16_name>(format);
}

}  // namespace nibble::inline v0::cpu::avx2
