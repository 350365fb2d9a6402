// What the files of the portable tier give its table.
// Private to kernels/cpu/portable.
#pragma once

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu::portable {

extern const MatmulKernel matmul_kernel;
extern const AttendKernel attend_kernel;
extern const FloatKernels float_kernels;

}  // namespace nibble::inline v0::cpu::portable
