// nibble perplexity: how well a model predicts a text.
// The text is cut into windows of the context's length, each evaluated by itself.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "input.hpp"
#include "nibble/sample/sampler.hpp"
#include "run_options.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

struct Arguments {
  RunOptions run;
  std::string file;
  bool json = false;
};

struct Score {
  double sum = 0;  // of negative log-probabilities, natural logarithm
  std::uint64_t tokens = 0;
  std::uint64_t windows = 0;
  double mean() const { return sum / static_cast<double>(tokens); }
};

// Adds every token of the window that has another in front of it.
void score_window(nibble::Engine& engine, std::span<const nibble::TokenId> window,
                  const std::stop_token& stop, Score& score) {
  nibble::Sequence sequence = engine.make_sequence();
  const nibble::StepInput input{&sequence, window.first(window.size() - 1), nibble::Outputs::all};
  engine.step(
      {&input, 1},
      [&](std::size_t, std::size_t position, std::span<const float> logits) {
        score.sum -= nibble::log_probability(logits, window[position + 1]);
        ++score.tokens;
      },
      stop);
  ++score.windows;
}

// Every token of `text` lies in one window; each window begins with BOS where the model wants it.
Score score_text(nibble::Engine& engine, std::span<const nibble::TokenId> text, const std::stop_token& stop) {
  const nibble::Tokenizer& tokenizer = engine.model().tokenizer();
  std::vector<nibble::TokenId> bos;
  if (tokenizer.adds_bos() && tokenizer.bos()) bos.push_back(*tokenizer.bos());
  const std::size_t stride = engine.plan().context - std::min<std::size_t>(bos.size(), engine.plan().context);
  if (stride == 0) throw Failure(context_overflow, "-c: a window needs room for a token beside BOS");

  Score score;
  ProgressBar bar;
  for (std::size_t begin = 0; begin < text.size(); begin += stride) {
    bar.show("scoring", begin, text.size());
    const auto part = text.subspan(begin, std::min(stride, text.size() - begin));
    std::vector<nibble::TokenId> window = bos;
    window.insert(window.end(), part.begin(), part.end());
    if (window.size() > 1) score_window(engine, window, stop, score);
  }
  return score;
}

ExitCode perplexity(Arguments& arguments, const std::stop_token& stop) {
  const std::string text = read_input(arguments.file);
  const nibble::Model model = open_model(arguments.run.model, stop);
  const std::vector<nibble::TokenId> tokens = model.tokenizer().encode(text, {.add_special = false});
  nibble::Engine engine = make_engine(model, arguments.run.engine, stop);
  const double began = now();
  const Score score = score_text(engine, tokens, stop);
  if (score.tokens == 0) throw Failure(usage, "the text is too short: no token has another in front of it");
  if (arguments.json) {
    std::cout << nlohmann::ordered_json{{"nll", score.mean()},
                                        {"perplexity", std::exp(score.mean())},
                                        {"tokens", score.tokens},
                                        {"windows", score.windows},
                                        {"context", engine.plan().context}}
                     .dump(2)
              << '\n';
  } else {
    std::cout << "nll         " << format_number(score.mean(), 6) << "\nperplexity  "
              << format_number(std::exp(score.mean()), 6) << '\n';
  }
  print_statistics({{"scored", format_rate(score.tokens, now() - began)},
                    {"windows", std::to_string(score.windows) + " of " +
                                    std::to_string(engine.plan().context) + " positions"},
                    {"backend", engine.plan().backend}});
  return ok;
}

}  // namespace

void add_perplexity(CLI::App& app, Action& action) {
  CLI::App& command =
      *app.add_subcommand("perplexity", "Measure how well a model predicts a text")->group("Run a model");
  auto arguments = std::make_shared<Arguments>();
  command.add_option("-m,--model", arguments->run.model, "A .gguf file or a folder")
      ->type_name("MODEL")
      ->required();
  command.add_option("-f,--file", arguments->file, "The text (default: stdin)")->type_name("TEXT");
  command.add_flag("--json", arguments->json, "Print a JSON object");
  add_run_options(command, arguments->run);
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return perplexity(*arguments, stop); };
  });
}

}  // namespace cli
