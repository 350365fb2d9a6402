// One batch through all steps of the plan.
// Between CudaBackend::run and the kernels.
#pragma once

#include "kernels/cuda/backend.hpp"

namespace nibble::inline v0::cuda {

// Returns once the logits are there. A batch whose sequences share so many pages that its page table outgrows
// its place is run in parts. Errors: cancelled, device_lost.
void run_batch(const Prepared& prepared, Runtime& runtime, const BackendOptions& options, const Batch& batch,
               std::span<float> logits, const std::stop_token& stop);

}  // namespace nibble::inline v0::cuda
