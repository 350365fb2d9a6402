// What running a model takes: the engine's memory as planned, and this program's own with the model open.
// Shown by `nibble inspect` and `nibble plan`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "nibble/engine.hpp"

namespace cli {

struct MemoryPlan {
  nibble::EnginePlan engine;
  // Bytes, measured: code, the model's metadata and vocabulary, weights that opening has rearranged. 0 where
  // the system does not tell.
  std::uint64_t program = 0;

  // What is resident once the context has been full.
  std::uint64_t total() const noexcept { return engine.memory.total() + engine.memory.mapped + program; }
};

// Errors: those of Engine::plan.
MemoryPlan plan_memory(const nibble::Model& model, const nibble::EngineOptions& options);

nlohmann::ordered_json to_json(const MemoryPlan& plan);
void print_memory(const MemoryPlan& plan);  // on stdout

}  // namespace cli
