// nibble synth: a model file with a published model's shapes and random weights, for measuring speed.
// The file itself is made by synthetic.cpp.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "command.hpp"
#include "mixes.hpp"
#include "output_file.hpp"
#include "presets.hpp"
#include "synthetic.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

struct Arguments {
  Synthetic model;
  std::string out;
};

ExitCode synth(const Arguments& arguments, const std::stop_token& stop) {
  check_output_path(arguments.out);
  const double began = now();
  const std::size_t tensors = write_synthetic(arguments.model, arguments.out, stop);
  print_statistics({{"tensors", std::to_string(tensors)},
                    {"size", format_bytes(std::filesystem::file_size(arguments.out))},
                    {"time", format_number(now() - began, 2) + " s"}});
  return ok;
}

}  // namespace

void add_synth(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("synth", "Write a model of published shapes and random weights")
                           ->group("Make a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("preset", arguments->model.preset, "One of " + preset_names())
      ->type_name("PRESET")
      ->required();
  command.add_option("out", arguments->out, "The .gguf file to write")->type_name("OUT")->required();
  command.add_option("--type", arguments->model.type, "One of " + mix_names())->type_name("TYPE")->required();
  command.add_option("--layers", arguments->model.layers, "Only so many of the model's layers")
      ->type_name("N");
  command.add_option("--seed", arguments->model.seed, "Of the weights (default: 1)")
      ->type_name("S")
      ->check(CLI::NonNegativeNumber);
  command.add_option("-t,--threads", arguments->model.threads, "Threads (default: one per CPU)")
      ->type_name("N");
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return synth(*arguments, stop); };
  });
}

}  // namespace cli
