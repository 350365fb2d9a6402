// The emulator as a runtime: the whole backend runs on the host, in tests.
// Stands where device.cu stands for a real device.
#pragma once

#include <memory>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// Memory is filled with NaNs where it is allocated. `budget`: bytes, beyond which it is out of memory.
std::unique_ptr<Runtime> make_emulated_runtime(std::uint64_t budget = ~0ull);

}  // namespace nibble::inline v0::cuda
