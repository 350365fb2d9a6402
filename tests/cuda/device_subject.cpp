// The CUDA backend on the first device.
// Linked into test_cuda_device.
#include "tests/cuda/subject.hpp"

namespace nibble {

std::unique_ptr<Backend> make_subject(const BackendOptions& options) { return make_backend("cuda", options); }

}  // namespace nibble
