// EngineOptions checked and completed, and what they cost.
// Between Engine's constructor, Engine::plan and make_backend.
#pragma once

#include <cstdint>
#include <memory>

#include "nibble/engine.hpp"

namespace nibble::inline v0 {

struct EngineSettings {
  EngineOptions options;  // every default filled in
  EnginePlan plan;
  std::unique_ptr<const Plan> model_plan;  // for this context
  std::uint64_t page_bytes = 0;
  std::unique_ptr<Backend> backend;  // not yet prepared
};

// Errors: those of Engine's constructor, but for what preparing the backend adds.
EngineSettings settle(const Model& model, const EngineOptions& options);

}  // namespace nibble::inline v0
