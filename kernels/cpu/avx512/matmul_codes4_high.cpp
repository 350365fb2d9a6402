// Matmul of 4-bit codes with planes of high bits on AVX-512 VNNI.
// The template is matmul.hpp; the formats are those of formats.hpp.
namespace {
constexpr char name[] = "codes4_high/avx512";
}

#include "kernels/cpu/avx512/kernel.hpp"

namespace nibble::inline v0::cpu::avx512 {

const MatmulKernel* codes4_high_kernel(const Format& format) {
  return find_kernel<Family::codes4_high>(format);
}

}  // namespace nibble::inline v0::cpu::avx512
