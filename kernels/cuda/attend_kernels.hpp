// The list of the kernels of attention.
// Part of that of kernels.hpp; attend_cut.hpp says which of them runs.
#pragma once

#include "kernels/cuda/attend_floats.hpp"
#include "kernels/cuda/attend_tiles.hpp"

namespace nibble::inline v0::cuda {

// Tiles of 16 queries that a block can take; of two, Q8_0 would not find registers enough.
template <KvType type>
inline constexpr std::uint32_t most_tiles = type == KvType::Q8_0 ? 1 : 2;

using AttendKernels = KernelList<AttendFloats<1>, AttendFloats<4>, AttendTiles<KvType::F16, 1>,
                                 AttendTiles<KvType::F16, 2>, AttendTiles<KvType::BF16, 1>,
                                 AttendTiles<KvType::BF16, 2>, AttendTiles<KvType::Q8_0, 1>, MergeSpans>;

}  // namespace nibble::inline v0::cuda
