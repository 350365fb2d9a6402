// The CUDA backend on the emulator: the one that tests look at, and the one that is called "cuda" here.
// Linked into test_cuda.
#include <utility>

#include "kernels/backends.hpp"
#include "kernels/cuda/backend.hpp"
#include "tests/cuda/emulated_engine.hpp"
#include "tests/cuda/subject.hpp"

namespace nibble::inline v0::cuda {

namespace {
Emulated* of_next_engine = nullptr;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  return std::make_unique<CudaBackend>(make_emulated_runtime(std::exchange(of_next_engine, nullptr)),
                                       options);
}

}  // namespace nibble::inline v0::cuda

namespace nibble {

std::unique_ptr<Backend> make_subject(const BackendOptions& options) {
  return std::make_unique<cuda::CudaBackend>(cuda::make_emulated_runtime(), options);
}

Engine make_emulated_engine(const Model& model, EngineOptions options, cuda::Emulated& emulated) {
  options.backend = "cuda";
  cuda::of_next_engine = &emulated;
  return Engine(model, options);
}

}  // namespace nibble
