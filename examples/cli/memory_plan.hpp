// An engine's memory plan as text and as JSON.
// Shown by `nibble inspect` and `nibble plan`.
#pragma once

#include <nlohmann/json.hpp>

#include "nibble/engine.hpp"

namespace cli {

nlohmann::ordered_json to_json(const nibble::EnginePlan& plan);
void print_memory(const nibble::EnginePlan& plan);  // on stdout

}  // namespace cli
