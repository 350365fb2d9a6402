// Stands in for the CUDA backend where the library is built without it.
// Chosen by the name "cuda" in src/backend/backend.cpp.
#include "kernels/backends.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

std::unique_ptr<Backend> make_backend(const BackendOptions&) {
  throw Error(
      {.code = ErrorCode::no_device, .source = "cuda backend", .found = "this build has no CUDA backend"});
}

}  // namespace nibble::inline v0::cuda
