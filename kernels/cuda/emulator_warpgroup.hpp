// The emulator's twins of what compute capability 9.0 adds: barriers that count bytes, bulk copies, products
// by warpgroups. Below warpgroup.hpp in every compiler but nvcc; linked into tests alone.
//
// What is in the background is late, and seen: a copy's target is NaNs until a thread that waits for its
// barrier would else wait for ever; a product's target is NaNs until it is waited for, and what it reads, in
// registers and in shared memory, is read only then. Misaligned or empty copies, descriptors that say
// anything but what warpgroup.hpp says or point outside, warps of a group at different products, and a
// product that is not the oldest end the launch with an Error. That fences are where they must be, only a
// device tells.
#pragma once

#include "kernels/cuda/emulator.hpp"

namespace nibble::inline v0::cuda::emulator {

void begin_barrier(std::uint64_t* barrier, std::uint32_t arrivals);
void arrive(std::uint64_t* barrier);
void expect(std::uint64_t* barrier, std::uint32_t bytes);
void wait(std::uint64_t* barrier, std::uint32_t parity);
void copy_bulk(void* to, const void* from, std::uint32_t bytes, std::uint64_t* barrier);

// Two operands at most: of each this lane's registers, and a descriptor.
struct Product {
  float* d;
  const std::uint32_t (*a)[4];
  std::uint64_t b[2];
  std::uint32_t n;
};
void begin_product(const Product& product);
void wait_product(const float* d, std::size_t left);

// Whether products are to be added up in another order and precision than mma.sync's from now on, as a
// device's might be; of this thread of the host.
void round_products_otherwise(bool otherwise);

}  // namespace nibble::inline v0::cuda::emulator
