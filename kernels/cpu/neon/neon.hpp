// What the files of this tier share: one symbol each, all else in anonymous namespaces.
// Put together by table.cpp, here and in neon_i8mm.
#pragma once

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu::neon {

extern const AttendKernel attend_kernel;  // attend.cpp
extern const FloatKernels floats;         // floats.cpp

const MatmulKernel* float_kernel(const Format& format);  // matmul_floats.cpp

}  // namespace nibble::inline v0::cpu::neon
