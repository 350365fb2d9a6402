// A block of threads on the host: kernels run one fiber a thread, to be tested where there is no device.
// Below device.hpp in every compiler but nvcc; linked into tests alone.
//
// Threads of a block run in an order that is shuffled for each block, and so do blocks. Shared memory begins
// as signalling NaNs; copies in the background arrive no sooner than they are waited for. A barrier that some
// threads pass and others end without meeting, lanes of one warp at different exchanges, and misaligned loads
// end the launch with an Error. Whether memory that threads share is accessed in order between barriers, and
// how fast anything is, only a device tells.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "nibble/quant/half.hpp"

namespace nibble::inline v0::cuda::emulator {

std::uint32_t thread();
std::uint32_t block_x();
std::uint32_t block_y();
std::uint32_t blocks_x();
std::byte* shared();
void sync_block();
void sync_warp();
void copy_async(void* to, const void* from);
void end_copy_group();
void wait_copies(int left);

// `p`, which must be a multiple of `bytes`.
const void* aligned(const void* p, std::size_t bytes);
std::uint16_t round_to_half(double x);

// Gives `bytes` bytes to the `threads` threads of which this is one, a warp or several, and returns the first
// of the warp's 32 lanes', `bytes` apart, valid until this lane's next exchange but one.
const void* exchange_bytes(const void* mine, std::size_t bytes, std::uint32_t threads);

template <class T>
const T* exchange(const T& mine, std::uint32_t threads = 32) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 48);
  return static_cast<const T*>(exchange_bytes(&mine, sizeof(T), threads));
}

// For what emulator_warpgroup.cpp adds. How many bytes shared() has, which of all blocks that this thread of
// the host ever ran is run, and the end of it for a defect of the kernel.
std::size_t shared_bytes();
std::uint64_t block_number();
[[noreturn]] void fail(const char* defect);
// Waits until over(what), which is asked once all other threads wait as well.
void wait_until(bool (*over)(void* what), void* what);

struct Blocks {
  std::uint32_t x, y;
};

// Runs call(kernel) once for each of `threads` threads of each block. Errors: internal (a defect of the
// kernel, as above).
void launch(Blocks blocks, std::uint32_t threads, std::size_t shared_bytes, void (*call)(const void* kernel),
            const void* kernel);

}  // namespace nibble::inline v0::cuda::emulator
