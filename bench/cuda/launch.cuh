// What benchmarks on a GPU begin with: kernels launched by themselves, errors that end the program, bits to
// work on. Shared by matmul.cu and attend.cu; for nvcc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/kernel_list.hpp"
#include "kernels/cuda/warpgroup.hpp"

namespace {

using namespace nibble;
using namespace nibble::cuda;

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(status));
  std::exit(1);
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, resident_blocks<Kernel>())
    run([[maybe_unused]] const Kernel kernel) {
  if constexpr (!needs_warpgroups<Kernel>() || device::has_warpgroups) kernel();
}

// Bits that differ from word to word; taken as halves, all below 2.
struct Fill {
  static constexpr std::uint32_t threads = 256;
  std::uint32_t* words;
  std::size_t n;

  NIBBLE_DEVICE void operator()() const {
    const std::size_t step = std::size_t{device::blocks_x()} * threads;
    for (std::size_t i = std::size_t{device::block_x()} * threads + device::thread(); i < n; i += step) {
      std::uint32_t x = static_cast<std::uint32_t>(i) * 0x9e3779b9u;
      x = (x ^ x >> 15) * 0x85ebca6bu;
      words[i] = (x ^ x >> 13) & 0xbfffbfffu;
    }
  }
};

}  // namespace
