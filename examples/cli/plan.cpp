// nibble plan: the steps a model runs, its buffers, and the memory an engine takes for them.
// Prints Model::plan() and Engine::plan(); takes no memory for weights.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "memory_plan.hpp"
#include "run_options.hpp"

namespace cli {

namespace {

struct Arguments {
  RunOptions run;
  bool json = false;
};

void print_json(const nibble::Model& model, const MemoryPlan& memory) {
  const nibble::Plan& plan = model.plan();
  nlohmann::ordered_json out;
  for (const nibble::Step& step : plan.steps) out["steps"].push_back(describe(step, model.weights()));
  for (const nibble::Extent& buffer : plan.buffers) {
    out["buffers"].push_back({{"rows", buffer.rows == nibble::Rows::tokens ? "tokens" : "outputs"},
                              {"width", buffer.width},
                              {"first_step", buffer.first_step},
                              {"last_step", buffer.last_step}});
  }
  for (const nibble::KvLayer& layer : plan.kv) {
    out["kv"].push_back(
        {{"n_kv_heads", layer.n_kv_heads}, {"head_dim", layer.head_dim}, {"window", layer.window}});
  }
  out["memory"] = to_json(memory);
  std::cout << out.dump(2) << '\n';
}

void print_buffers(const nibble::Plan& plan) {
  std::cout << "\nbuffers (float32)\n";
  for (std::size_t i = 0; i < plan.buffers.size(); ++i) {
    const nibble::Extent& buffer = plan.buffers[i];
    std::cout << "  b" << i << " (" << (buffer.rows == nibble::Rows::tokens ? "tokens" : "outputs") << ", "
              << buffer.width << "), steps " << buffer.first_step << " to " << buffer.last_step << '\n';
  }
}

// Layers that are alike, together.
void print_kv(const nibble::Plan& plan) {
  std::cout << "\nkeys and values\n";
  for (std::size_t begin = 0, end = 0; begin < plan.kv.size(); begin = end) {
    const nibble::KvLayer& layer = plan.kv[begin];
    const auto alike = [&](const nibble::KvLayer& other) {
      return other.n_kv_heads == layer.n_kv_heads && other.head_dim == layer.head_dim &&
             other.window == layer.window;
    };
    for (end = begin + 1; end < plan.kv.size() && alike(plan.kv[end]);) ++end;
    std::cout << "  layers " << begin << " to " << end - 1 << ": " << layer.n_kv_heads << " heads of "
              << layer.head_dim << (layer.window == 0 ? "" : ", window " + std::to_string(layer.window))
              << '\n';
  }
}

ExitCode plan(Arguments& arguments, const std::stop_token& stop) {
  const nibble::Model model = open_model(arguments.run.model, stop);
  const MemoryPlan memory = plan_memory(model, arguments.run.engine);
  if (arguments.json) {
    print_json(model, memory);
    return ok;
  }
  const std::vector<nibble::Step>& steps = model.plan().steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::cout << i << ' ' << describe(steps[i], model.weights()) << '\n';
  }
  print_buffers(model.plan());
  print_kv(model.plan());
  std::cout << '\n';
  print_memory(memory);
  return ok;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("plan", "Show the steps a model runs and the memory they take")
                           ->group("Look at a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("model,-m,--model", arguments->run.model, "A .gguf file or a folder")
      ->type_name("MODEL")
      ->required();
  command.add_flag("--json", arguments->json, "Print a JSON object");
  add_run_options(command, arguments->run);
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return plan(*arguments, stop); };
  });
}

}  // namespace cli
