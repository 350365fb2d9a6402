// Declaring the options that commands share, and opening a model with them.
// See run_options.hpp.
#include "run_options.hpp"

#include <CLI/CLI.hpp>
#include <map>

#include "exit_code.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr const char* group = "Running";

}  // namespace

void add_run_options(CLI::App& command, RunOptions& options) {
  command.add_option("-t,--threads", options.engine.threads, "CPU threads (default: one per CPU it may use)")
      ->type_name("N")
      ->group(group);
  add_engine_options(command, options.engine);
}

void add_engine_options(CLI::App& command, nibble::EngineOptions& engine) {
  static const std::map<std::string, nibble::KvType> kv_types = {{"f16", nibble::KvType::F16},
                                                                 {"f32", nibble::KvType::F32},
                                                                 {"bf16", nibble::KvType::BF16},
                                                                 {"q8_0", nibble::KvType::Q8_0}};
  command
      .add_option("-c,--context", engine.context,
                  "Positions of the context (default: the model's, at most 4096)")
      ->type_name("N")
      ->group(group);
  command.add_option("--batch", engine.batch, "Tokens evaluated together at most (default: 512)")
      ->type_name("N")
      ->check(CLI::Range(1u, 1u << 16))
      ->group(group);
  command.add_option("--backend", engine.backend, "cpu, cuda or reference (default: cpu)")
      ->type_name("NAME")
      ->group(group);
  command.add_option("--isa", engine.isa, "CPU tier by name (default: the best this CPU has)")
      ->type_name("NAME")
      ->group(group);
  command
      .add_option_function<std::string>(
          "--kv", [&engine](const std::string& name) { engine.kv = kv_types.at(name); },
          "Type of cached keys and values (default: f16; f32 for a model all in F32)")
      ->type_name("f16|f32|bf16|q8_0")
      ->check(CLI::IsMember(kv_types))
      ->group(group);
}

nibble::Model open_model(const std::string& path, const std::stop_token& stop) {
  nibble::ModelOptions options;
  options.watch = {.log = {}, .progress = progress_bar(), .stop = stop};
  return opening([&] { return nibble::Model::open(path, options); });
}

nibble::Engine make_engine(const nibble::Model& model, nibble::EngineOptions options,
                           const std::stop_token& stop) {
  options.watch = {.log = {}, .progress = progress_bar(), .stop = stop};
  return nibble::Engine(model, options);
}

}  // namespace cli
