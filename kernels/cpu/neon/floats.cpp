// The float operations on NEON.
// The templates are kernels/cpu/vector's.
#include "kernels/cpu/vector/floats.hpp"

#include "kernels/cpu/neon/neon.hpp"

namespace nibble::inline v0::cpu::neon {

const FloatKernels floats = float_kernels<xsimd::neon64>;

}  // namespace nibble::inline v0::cpu::neon
