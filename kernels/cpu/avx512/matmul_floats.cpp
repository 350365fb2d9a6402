// Matmul of F32, F16 and BF16 weights on AVX-512: 32 rows by 12 tokens in registers.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/matmul_floats.hpp"

#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

namespace {
constexpr char float32_name[] = "float32/avx512", float16_name[] = "float16/avx512";
}

const MatmulKernel* float_kernel(const Format& format) {
  return FloatMatmul<xsimd::avx512bw, 2, 12>::find<float32_name, float16_name>(format);
}

}  // namespace nibble::inline v0::cpu::avx512
