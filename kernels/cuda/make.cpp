// The CUDA backend by name, where the library is built with CUDA.
// Chosen by the name "cuda" in src/backend/backend.cpp.
#include "kernels/backends.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/cuda_runtime.hpp"

namespace nibble::inline v0::cuda {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  return std::make_unique<CudaBackend>(make_cuda_runtime(), options);
}

}  // namespace nibble::inline v0::cuda
