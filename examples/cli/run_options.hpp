// The options of every command that runs a model, and how such a command opens one.
// -m, -t, -c, --backend, --isa, --kv and --batch mean the same everywhere.
#pragma once

#include <stop_token>
#include <string>

#include "nibble/engine.hpp"
#include "nibble/model.hpp"

namespace CLI {
class App;
}

namespace cli {

struct RunOptions {
  std::string model;
  nibble::EngineOptions engine;
};

// Declares -t, -c, --backend, --isa, --kv and --batch. `options` must live until the command has run.
void add_run_options(CLI::App& command, RunOptions& options);
// The same without -t.
void add_engine_options(CLI::App& command, nibble::EngineOptions& engine);

// Both with a progress bar, and stopped by `stop`.
nibble::Model open_model(const std::string& path, const std::stop_token& stop);
nibble::Engine make_engine(const nibble::Model& model, nibble::EngineOptions options,
                           const std::stop_token& stop);

}  // namespace cli
