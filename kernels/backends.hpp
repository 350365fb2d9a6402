// How each backend is made: one line each, beside the list in src/backend/backend.cpp.
// Between that list and the folders here.
#pragma once

#include <memory>

#include "nibble/backend/backend.hpp"

namespace nibble::inline v0 {

namespace cpu {
std::unique_ptr<Backend> make_backend(const BackendOptions& options);
}
namespace cuda {
std::unique_ptr<Backend> make_backend(const BackendOptions& options);
}
namespace reference {
std::unique_ptr<Backend> make_backend(const BackendOptions& options);
}

}  // namespace nibble::inline v0
