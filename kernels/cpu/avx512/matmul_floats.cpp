// Matmul of F32, F16 and BF16 weights on AVX-512: 32 rows by 12 tokens in registers.
// The template is kernels/cpu/vector's.
#include "kernels/cpu/vector/matmul_floats.hpp"

#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

const MatmulKernel* float_kernel(const Format& format) {
  using Matmul = FloatMatmul<xsimd::avx512bw, 2, 12>;
  static constexpr MatmulKernel f32 = Matmul::kernel<F32>("float32/avx512"),
                                f16 = Matmul::kernel<F16>("float16/avx512"),
                                bf16 = Matmul::kernel<BF16>("float16/avx512");
  switch (format.dtype) {
    case Dtype::F32: return &f32;
    case Dtype::F16: return &f16;
    case Dtype::BF16: return &bf16;
    default: return nullptr;
  }
}

}  // namespace nibble::inline v0::cpu::avx512
