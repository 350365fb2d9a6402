// What the files of this tier share.
// Put together by table.cpp.
#pragma once

#include "kernels/cpu/avx512/avx512.hpp"

namespace nibble::inline v0::cpu::avx512_bf16 {

extern const MatmulKernel bf16_kernel;  // matmul.cpp

}  // namespace nibble::inline v0::cpu::avx512_bf16
