// The float operations on AVX2.
// The templates are kernels/cpu/vector's.
#include "kernels/cpu/vector/floats.hpp"

#include "kernels/cpu/avx2/avx2.hpp"

namespace nibble::inline v0::cpu::avx2 {

const FloatKernels floats = float_kernels<xsimd::fma3<xsimd::avx2>>;

}  // namespace nibble::inline v0::cpu::avx2
