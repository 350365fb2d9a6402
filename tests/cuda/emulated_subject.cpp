// The CUDA backend on the emulator.
// Linked into test_cuda.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/emulated.hpp"
#include "tests/cuda/subject.hpp"

namespace nibble {

std::unique_ptr<Backend> make_subject(const BackendOptions& options) {
  return std::make_unique<cuda::CudaBackend>(cuda::make_emulated_runtime(), options);
}

}  // namespace nibble
