// Engines on the emulator: in this program the backend "cuda" is that, in place of the library's.
// Between the tests of whole generations and emulated_subject.cpp.
#pragma once

#include "kernels/cuda/emulated.hpp"
#include "nibble/engine.hpp"

namespace nibble {

// `emulated` must outlive the engine.
Engine make_emulated_engine(const Model& model, EngineOptions options, cuda::Emulated& emulated);

}  // namespace nibble
