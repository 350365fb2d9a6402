// Kernels of the ops that go element by element or row by row: gate, add, gather, norm, rope, route.
// Each is what kernels/reference/backend.cpp says of its op.
#pragma once

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/kernel_list.hpp"
#include "nibble/model/plan.hpp"

namespace nibble::inline v0::cuda {

// Columns of a buffer on the device, and for each row of the output the row of it that is read: from[i], or i
// where `from` is null.
struct Input {
  const float* data;
  std::uint32_t stride;
  const std::uint32_t* from;

  NIBBLE_DEVICE const float* row(std::uint32_t i) const {
    return data + std::size_t{from == nullptr ? i : from[i]} * stride;
  }
};
struct Output {
  float* data;
  std::uint32_t stride, n_rows, width;

  NIBBLE_DEVICE float* row(std::uint32_t i) const { return data + std::size_t{i} * stride; }
};

// One block a row (y) and stretch of `threads` columns (x).
struct Add {
  static constexpr std::uint32_t threads = 256;
  Input a, b;
  std::uint32_t b_width;  // some times out.width: its parts are added in order
  Output out;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t c = device::block_x() * threads + device::thread(), i = device::block_y();
    if (c >= out.width) return;
    float sum = a.row(i)[c];
    for (std::uint32_t part = c; part < b_width; part += out.width) sum = sum + b.row(i)[part];
    out.row(i)[c] = sum;
  }
};

using RowKernels = KernelList<Add>;

}  // namespace nibble::inline v0::cuda
