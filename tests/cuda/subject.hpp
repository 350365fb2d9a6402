// The backend that the tests of this folder look at: on the emulator, or in the program for machines with a
// GPU on the device.
#pragma once

#include <memory>

#include "nibble/backend/backend.hpp"

namespace nibble {

std::unique_ptr<Backend> make_subject(const BackendOptions& options);

}  // namespace nibble
