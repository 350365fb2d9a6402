// Whether a device's warpgroups multiply with the bits of mma.sync: asked once, before they are used.
// Between backend.cpp and the kernels that it compares.
#pragma once

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// Runs MatmulByRows and MatmulByWarpgroups on small matrices whose products span all magnitudes, and cancel,
// and compares every bit. False where the device has no such kernels. Errors: out_of_memory, device_lost.
bool warpgroups_agree(Runtime& runtime);

}  // namespace nibble::inline v0::cuda
