// Matmul of 2- and 3-bit codes on AVX-512 VNNI.
// The template is matmul.hpp; the formats are those of formats.hpp.
namespace {
constexpr char name[] = "codes2/avx512";
}

#include "kernels/cpu/avx512/kernel.hpp"

namespace nibble::inline v0::cpu::avx512 {

const MatmulKernel* codes2_kernel(const Format& format) { return find_kernel<Family::codes2>(format); }

}  // namespace nibble::inline v0::cpu::avx512
