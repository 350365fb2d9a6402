// One batch through all steps of the plan.
// Between CudaBackend::run and the kernels.
#pragma once

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// Returns once the logits are there. A batch whose sequences share so many pages that its page table outgrows
// its place is run in parts. Passes of few tokens are recorded, and later repeated. Errors: cancelled,
// device_lost, out_of_memory (a recording's).
void run_batch(const Prepared& prepared, RecordedPasses& recorded, Runtime& runtime,
               const BackendOptions& options, const Batch& batch, std::span<float> logits,
               const std::stop_token& stop);

}  // namespace nibble::inline v0::cuda
