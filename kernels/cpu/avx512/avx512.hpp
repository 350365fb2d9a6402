// What the files of this tier share: one symbol each, all else in anonymous namespaces.
// Put together by table.cpp.
#pragma once

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu::avx512 {

extern const ActivationForm int8_rows;    // quantise.cpp
extern const AttendKernel attend_kernel;  // attend.cpp
extern const FloatKernels floats;         // floats.cpp

// The kernel of a family for a format of it; null for formats that these files were not built with.
const MatmulKernel* codes4_kernel(const Format& format);
const MatmulKernel* codes4_high_kernel(const Format& format);
const MatmulKernel* codes2_kernel(const Format& format);
const MatmulKernel* codes8_kernel(const Format& format);
const MatmulKernel* float_kernel(const Format& format);

}  // namespace nibble::inline v0::cpu::avx512
