// The figures of an EnginePlan, one line each.
// See memory_plan.hpp.
#include "memory_plan.hpp"

#include <iostream>

#include "terminal.hpp"

namespace cli {

nlohmann::ordered_json to_json(const nibble::EnginePlan& plan) {
  return {{"backend", plan.backend},
          {"context", plan.context},
          {"kv_type", nibble::to_string(plan.kv_type)},
          {"kv_pages", plan.kv_pages},
          {"weights", plan.memory.weights},
          {"mapped", plan.memory.mapped},
          {"kv", plan.memory.kv},
          {"activations", plan.memory.activations},
          {"total", plan.memory.total()}};
}

void print_memory(const nibble::EnginePlan& plan) {
  std::cout << "memory (" << plan.backend << ", context " << plan.context << ", KV "
            << nibble::to_string(plan.kv_type) << ")\n"
            << "  weights      " << format_bytes(plan.memory.weights) << '\n'
            << "  file, mapped " << format_bytes(plan.memory.mapped) << '\n'
            << "  KV           " << format_bytes(plan.memory.kv) << " in " << plan.kv_pages << " pages\n"
            << "  activations  " << format_bytes(plan.memory.activations) << '\n'
            << "  total        " << format_bytes(plan.memory.total()) << '\n';
}

}  // namespace cli
