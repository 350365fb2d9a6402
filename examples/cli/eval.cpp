// nibble eval: tokens in, their raw logits out, for comparison with other implementations.
// Built on Engine::step, one row at a time, so that no more than a batch of logits is ever held.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <span>

#include "command.hpp"
#include "input.hpp"
#include "output_file.hpp"
#include "run_options.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

struct Arguments {
  RunOptions run;
  std::string tokens;
  std::string logits;
};

ExitCode eval(Arguments& arguments, const std::stop_token& stop) {
  const std::vector<nibble::TokenId> tokens = parse_token_ids(arguments.tokens);
  if (tokens.empty()) throw Failure(usage, "--tokens: no token ids");
  const nibble::Model model = open_model(arguments.run.model, stop);
  nibble::EngineOptions& options = arguments.run.engine;
  if (options.context == 0) options.context = static_cast<std::uint32_t>(tokens.size());
  nibble::Engine engine = make_engine(model, options, stop);

  OutputFile out(arguments.logits);
  nibble::Sequence sequence = engine.make_sequence();
  const nibble::StepInput input{&sequence, tokens, nibble::Outputs::all};
  const double began = now();
  engine.step(
      {&input, 1},
      [&](std::size_t, std::size_t, std::span<const float> row) { out.write(std::as_bytes(row)); }, stop,
      progress_bar());
  const double seconds = now() - began;
  out.commit();
  print_statistics({{"evaluation", format_rate(tokens.size(), seconds)},
                    {"logits", "[" + std::to_string(tokens.size()) + ", " +
                                   std::to_string(model.config().vocab_size) + "] float32"},
                    {"backend", engine.plan().backend}});
  return ok;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  CLI::App& command =
      *app.add_subcommand("eval", "Write the logits of given tokens to a file")->group("Run a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("-m,--model", arguments->run.model, "A .gguf file or a folder")
      ->type_name("MODEL")
      ->required();
  command.add_option("--tokens", arguments->tokens, "Token ids; nothing is added to them")
      ->type_name("\"1 2 3\"")
      ->required();
  command
      .add_option("--logits", arguments->logits,
                  "Where to write them: little-endian float32 [tokens, vocabulary]; - is stdout")
      ->type_name("OUT.f32")
      ->required();
  add_run_options(command, arguments->run);
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return eval(*arguments, stop); };
  });
}

}  // namespace cli
