// The list of kernels: what every runtime has an entry for.
// Between the headers of kernels and the runtimes.
#pragma once

#include "kernels/cuda/attend_kernels.hpp"
#include "kernels/cuda/fragment_kernels.hpp"
#include "kernels/cuda/kernel_list.hpp"
#include "kernels/cuda/rank_kernels.hpp"
#include "kernels/cuda/row_kernels.hpp"
#include "kernels/cuda/rows32_kernels.hpp"

namespace nibble::inline v0::cuda {

using Kernels =
    Joined<RowKernels, KvKernels, AttendKernels, FragmentKernels, Rows32Kernels, RankKernels>::type;

}  // namespace nibble::inline v0::cuda
