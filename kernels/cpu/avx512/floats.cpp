// The float operations on AVX-512.
// The templates are kernels/cpu/vector's.
#include "kernels/cpu/vector/floats.hpp"

#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512 {

const FloatKernels floats = float_kernels<xsimd::avx512bw>;

}  // namespace nibble::inline v0::cpu::avx512
