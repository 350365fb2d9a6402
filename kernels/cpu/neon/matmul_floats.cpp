// Matmul of F32, F16 and BF16 weights on NEON: 8 rows by 8 tokens in registers.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/matmul_floats.hpp"

#include "kernels/cpu/neon/neon.hpp"

namespace nibble::inline v0::cpu::neon {

namespace {
constexpr char float32_name[] = "float32/neon", float16_name[] = "float16/neon";
}

const MatmulKernel* float_kernel(const Format& format) {
  return FloatMatmul<xsimd::neon64, 2, 8>::find<float32_name, float16_name>(format);
}

}  // namespace nibble::inline v0::cpu::neon
