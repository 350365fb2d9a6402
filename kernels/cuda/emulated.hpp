// The emulator as a runtime: the whole backend runs on the host, in tests.
// Stands where device.cu stands for a real device.
#pragma once

#include <memory>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// Whether the device that is emulated has warpgroups, and whether they round as mma.sync does.
enum class EmulatedWarpgroups : std::uint8_t { none, agree, differ };

// What a runtime was asked for, and how it is to behave.
struct Emulated {
  std::uint64_t launches = 0;  // those of replays too
  std::uint64_t recordings = 0, replays = 0, uploads = 0;
  std::uint64_t waits = 0, ahead = 0;  // waits; and recordings replayed that were left undone by one

  std::uint64_t budget = ~0ull;         // bytes, beyond which it is out of memory
  bool is_late = false;                 // nothing is done before it is waited for; else at once
  std::uint64_t launches_left = ~0ull;  // before the device is lost
  EmulatedWarpgroups warpgroups = EmulatedWarpgroups::none;
};

// Memory is filled with NaNs where it is allocated. `emulated`, where given, must outlive the runtime.
std::unique_ptr<Runtime> make_emulated_runtime(Emulated* emulated = nullptr);

}  // namespace nibble::inline v0::cuda
