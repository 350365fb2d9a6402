// The figures of a MemoryPlan, one line each.
// See memory_plan.hpp.
#include "memory_plan.hpp"

#include <unistd.h>

#include <fstream>
#include <iostream>

#include "terminal.hpp"

namespace cli {

namespace {

std::uint64_t resident_bytes() {
  std::uint64_t mapped = 0, resident = 0;  // pages
  std::ifstream("/proc/self/statm") >> mapped >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

MemoryPlan plan_memory(const nibble::Model& model, const nibble::EngineOptions& options) {
  return {nibble::Engine::plan(model, options), resident_bytes()};
}

nlohmann::ordered_json to_json(const MemoryPlan& plan) {
  const nibble::EnginePlan& engine = plan.engine;
  return {{"backend", engine.backend},
          {"context", engine.context},
          {"kv_type", nibble::to_string(engine.kv_type)},
          {"kv_pages", engine.kv_pages},
          {"weights", engine.memory.weights},
          {"mapped", engine.memory.mapped},
          {"kv", engine.memory.kv},
          {"activations", engine.memory.activations},
          {"program", plan.program},
          {"total", plan.total()}};
}

void print_memory(const MemoryPlan& plan) {
  const nibble::EnginePlan& engine = plan.engine;
  std::cout << "memory (" << engine.backend << ", context " << engine.context << ", KV "
            << nibble::to_string(engine.kv_type) << ")\n"
            << "  weights      " << format_bytes(engine.memory.weights) << '\n'
            << "  file, mapped " << format_bytes(engine.memory.mapped) << '\n'
            << "  KV           " << format_bytes(engine.memory.kv) << " in " << engine.kv_pages << " pages\n"
            << "  activations  " << format_bytes(engine.memory.activations) << '\n'
            << "  program      " << format_bytes(plan.program) << '\n'
            << "  total        " << format_bytes(plan.total()) << '\n';
}

}  // namespace cli
