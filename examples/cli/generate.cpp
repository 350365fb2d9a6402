// nibble generate: a prompt in, its continuation out, as it is made.
// Built on Session; the shortest of the commands that run a model.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "command.hpp"
#include "demo_model.hpp"
#include "input.hpp"
#include "nibble/session.hpp"
#include "run_options.hpp"
#include "sampling_options.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

struct Arguments {
  RunOptions run;
  nibble::GenerateOptions sampling{.max_tokens = 128};
  std::string prompt;
  bool has_prompt = false;  // else it is read from `file`
  std::string file;
  std::optional<std::uint64_t> seed;
  bool echo = false;
  bool json = false;
};

void print_json(const Arguments& arguments, const std::string& prompt, const nibble::Generation& made) {
  nlohmann::ordered_json out;
  if (arguments.echo) out["prompt"] = prompt;
  out["text"] = made.text;
  out["tokens"] = nlohmann::ordered_json::array();
  out["logprobs"] = nlohmann::ordered_json::array();
  for (const nibble::GeneratedToken& token : made.tokens) {
    out["tokens"].push_back(token.token);
    out["logprobs"].push_back(token.logprob);
  }
  out["reason"] = nibble::to_string(made.reason);
  out["seed"] = arguments.sampling.seed;
  out["prompt_tokens"] = made.prompt_tokens;
  out["drafted_tokens"] = made.drafted_tokens;
  out["accepted_tokens"] = made.accepted_tokens;
  out["prompt_seconds"] = made.prompt_seconds;
  out["generate_seconds"] = made.generate_seconds;
  std::cout << out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

Statistics statistics_of(const Arguments& arguments, const nibble::Engine& engine,
                         const nibble::Generation& made, double load_seconds) {
  Statistics list = {{"load", format_number(load_seconds, 2) + " s"},
                     {"prompt", format_rate(made.prompt_tokens, made.prompt_seconds)},
                     {"generation", format_rate(made.tokens.size(), made.generate_seconds) + ", ended by " +
                                        std::string(nibble::to_string(made.reason))},
                     {"memory", format_bytes(engine.plan().memory.total())},
                     {"backend", engine.plan().backend},
                     {"seed", std::to_string(arguments.sampling.seed)}};
  if (made.drafted_tokens > 0)
    list.insert(list.begin() + 3,
                {"lookup", std::to_string(made.accepted_tokens) + " of " +
                               std::to_string(made.drafted_tokens) + " guesses were right"});
  return list;
}

ExitCode generate(Arguments& arguments, const std::stop_token& stop) {
  const std::string prompt = arguments.has_prompt ? arguments.prompt : read_input(arguments.file);
  const double began = now();
  const std::string path = arguments.run.model.empty() ? find_demo_model() : arguments.run.model;
  const nibble::Model model = open_model(path, stop);
  nibble::Engine engine = make_engine(model, arguments.run.engine, stop);
  nibble::Session session(engine);
  const double load_seconds = now() - began;

  arguments.sampling.seed = arguments.seed ? *arguments.seed : std::random_device()();
  arguments.sampling.progress = progress_bar();
  const bool streams = !arguments.json;
  if (streams && arguments.echo) std::cout << prompt << std::flush;
  std::stop_callback cancel(stop, [&session] { session.cancel(); });
  const nibble::Generation made = session.generate(prompt, arguments.sampling, [&](std::string_view text) {
    if (streams) std::cout << text << std::flush;
    return std::cout.good() && !stop.stop_requested();
  });

  if (arguments.json) print_json(arguments, prompt, made);
  if (streams && is_terminal(STDOUT_FILENO)) std::cout << std::endl;
  print_statistics(statistics_of(arguments, engine, made, load_seconds));
  return stop.stop_requested() ? cancelled : ok;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("generate", "Continue a prompt")->group("Run a model");
  auto arguments = std::make_shared<Arguments>();
  command
      .add_option("-m,--model", arguments->run.model, "A .gguf file or a folder (default: the demo model)")
      ->type_name("MODEL");
  CLI::Option* prompt =
      command.add_option("-p,--prompt", arguments->prompt, "The prompt (default: stdin)")->type_name("TEXT");
  command.add_option("-f,--file", arguments->file, "Read the prompt from a file; - is stdin")
      ->type_name("FILE")
      ->excludes(prompt);
  command
      .add_option("-n,--n-predict", arguments->sampling.max_tokens,
                  "Tokens to generate at most (default: 128)")
      ->type_name("N");
  command.add_option("--stop", arguments->sampling.stop, "Text that ends the generation; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->take_all();
  command.add_flag("--special", arguments->sampling.parse_special,
                   "Prompt text that spells a special token is that token");
  command.add_flag("--echo", arguments->echo, "Print the prompt in front of its continuation");
  command.add_flag("--json", arguments->json, "Print one JSON object when all is done");
  add_sampling_options(command, arguments->sampling, arguments->seed);
  add_run_options(command, arguments->run);
  command.callback([arguments, prompt, &action] {
    arguments->has_prompt = prompt->count() > 0;
    action = [arguments](const std::stop_token& stop) { return generate(*arguments, stop); };
  });
}

}  // namespace cli
