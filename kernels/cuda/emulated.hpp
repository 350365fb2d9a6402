// The emulator as a runtime: the whole backend runs on the host, in tests.
// Stands where device.cu stands for a real device.
#pragma once

#include <memory>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// What a runtime was asked for.
struct EmulatedCounts {
  std::uint64_t launches = 0;  // those of replays too
  std::uint64_t recordings = 0, replays = 0;
};

// Whether the device that is emulated has warpgroups, and whether they round as mma.sync does.
enum class EmulatedWarpgroups : std::uint8_t { none, agree, differ };

// Memory is filled with NaNs where it is allocated. `budget`: bytes, beyond which it is out of memory.
// `counts`, where given, must outlive the runtime.
std::unique_ptr<Runtime> make_emulated_runtime(std::uint64_t budget = ~0ull, EmulatedCounts* counts = nullptr,
                                               EmulatedWarpgroups warpgroups = EmulatedWarpgroups::none);

}  // namespace nibble::inline v0::cuda
