// CUDA's own runtime behind the interface that the backend uses.
// Made by make.cpp; device.cu is its body.
#pragma once

#include <memory>

#include "kernels/cuda/runtime.hpp"

namespace nibble::inline v0::cuda {

// On the first device, with a stream of its own. Errors: no_device (none, a driver that is absent or too old,
// a compute capability below 8.0), device_lost.
std::unique_ptr<Runtime> make_cuda_runtime();

}  // namespace nibble::inline v0::cuda
