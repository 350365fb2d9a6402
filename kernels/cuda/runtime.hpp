// A device as the backend uses it: memory, copies and launches, in order, on a stream of its own.
// Between backend.cpp and CUDA (device.cu), or the emulator in tests (emulated.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "kernels/cuda/kernels.hpp"

namespace nibble::inline v0::cuda {

// Blocks of a launch, and bytes of shared memory that each has.
struct Grid {
  std::uint32_t x = 1, y = 1;
  std::uint32_t shared_bytes = 0;  // at most most_shared_bytes_of the kernel
};

// Of every device from compute capability 8.0 on (8.6 and 8.9: 99 KiB to a block).
inline constexpr std::uint32_t most_shared_bytes = 99 << 10;

inline constexpr std::uint64_t most_marks = 16;

// That a launch of this kernel may ask for: more where only devices that have it run it.
template <class Kernel>
constexpr std::uint32_t most_shared_bytes_of() {
  if constexpr (needs_warpgroups<Kernel>()) {
    return Kernel::shared_bytes;
  } else {
    return most_shared_bytes;
  }
}

// Launches of a runtime, kept to be repeated as one. Must not outlive it.
class Recording {
 public:
  virtual ~Recording() = default;
};

// Not thread-safe. All work is done in the order of the calls; only those that say so wait for it.
// Errors of all but the destructor: device_lost.
class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string_view name() const noexcept = 0;  // "cuda/sm_90", "cuda/emulated"

  // Whether the device runs kernels that need warpgroups, and whether they are used: not before it was seen
  // that they give the others' bits (warpgroup_check.hpp).
  virtual bool has_warpgroups() const noexcept = 0;
  // Rows of inputs from which on: their blocks multiply 256, be they there or not.
  virtual std::uint32_t enough_for_warpgroups() const noexcept { return 256; }
  bool uses_warpgroups() const noexcept { return uses_warpgroups_; }
  void use_warpgroups(bool use) noexcept { uses_warpgroups_ = use; }

  // 256-byte aligned; null where `bytes` is 0. Errors: out_of_memory.
  virtual std::byte* allocate(std::uint64_t bytes) = 0;
  virtual void free(std::byte* device) noexcept = 0;
  // Host memory that copies do not wait for, and that kernels reach as well. Errors: out_of_memory.
  virtual std::byte* allocate_host(std::uint64_t bytes) = 0;
  virtual void free_host(std::byte* host) noexcept = 0;

  // `host` is to stay as it is until the copy is waited for.
  virtual void upload(std::byte* device, const std::byte* host, std::uint64_t bytes) = 0;
  virtual void download(std::byte* host, const std::byte* device, std::uint64_t bytes) = 0;
  virtual void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) = 0;  // within the device

  // Waits for everything.
  virtual void synchronise() = 0;
  // The number of a place between the calls before and those after, one more than the last; and waiting for
  // all before it. Of the latest most_marks.
  virtual std::uint64_t mark() = 0;
  virtual void wait(std::uint64_t mark) = 0;

  // Keeps the launches that `work` makes instead of doing them; it makes no other call. Errors: also those of
  // `work`, after which nothing is kept.
  virtual std::unique_ptr<Recording> record(const std::function<void()>& work) = 0;
  // The recorded launches, each with the grid and the parameters it had.
  virtual void replay(const Recording& recording) = 0;

  // Blocks that the device holds at the same time.
  template <class Kernel>
  std::uint32_t resident_blocks() {
    return blocks_at_once(Kernels::index<Kernel>(), Kernel::shared_bytes);
  }
  template <class Kernel>
  void launch(const Grid& grid, const Kernel& kernel) {
    static_assert(Kernel::threads % device::warp_size == 0 && Kernel::threads <= 1024);
    if (grid.x != 0 && grid.y != 0) launch_kernel(Kernels::index<Kernel>(), grid, &kernel);
  }

 protected:
  virtual std::uint32_t blocks_at_once(std::size_t index, std::uint32_t shared_bytes) = 0;
  // Kernel `index` of Kernels, with these parameters. Both dimensions are above 0.
  virtual void launch_kernel(std::size_t index, const Grid& grid, const void* kernel) = 0;

 private:
  bool uses_warpgroups_ = false;
};

}  // namespace nibble::inline v0::cuda
