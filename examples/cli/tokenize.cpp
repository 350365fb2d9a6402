// nibble tokenize: text to token ids and back.
// Needs a tokenizer only: vocabulary files without hyperparameters or tensors will do.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "input.hpp"
#include "load_tokenizer.hpp"

namespace cli {

namespace {

struct Arguments {
  std::string model;
  std::string file;
  bool no_bos = false;
  bool no_special = false;
  bool decode = false;
  bool json = false;
};

// `ids` without what encode() puts around a text, so that decoding reverses it.
std::span<const nibble::TokenId> without_added(const nibble::Tokenizer& tokenizer,
                                               std::span<const nibble::TokenId> ids) {
  const std::vector<nibble::TokenId> added = tokenizer.encode("");
  const std::size_t front = tokenizer.adds_bos() ? 1 : 0;
  if (front == 1 && !ids.empty() && ids.front() == tokenizer.bos()) ids = ids.subspan(1);
  if (added.size() > front && !ids.empty() && ids.back() == added.back()) ids = ids.first(ids.size() - 1);
  return ids;
}

void print_text(const Arguments& arguments, const nibble::Tokenizer& tokenizer) {
  const std::vector<nibble::TokenId> ids = parse_token_ids(read_input(arguments.file));
  const std::string text = tokenizer.decode(
      arguments.no_bos ? std::span<const nibble::TokenId>(ids) : without_added(tokenizer, ids),
      !arguments.no_special);
  if (arguments.json) {
    std::cout << nlohmann::ordered_json{{"text", text}}.dump() << '\n';
  } else {
    std::cout << text;
  }
}

void print_ids(const Arguments& arguments, const nibble::Tokenizer& tokenizer) {
  const std::vector<nibble::TokenId> ids = tokenizer.encode(
      read_input(arguments.file), {.add_special = !arguments.no_bos, .parse_special = !arguments.no_special});
  if (arguments.json) {
    std::cout << nlohmann::ordered_json{{"tokens", ids}}.dump() << '\n';
    return;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) std::cout << (i == 0 ? "" : " ") << ids[i];
  std::cout << '\n';
}

ExitCode tokenize(const Arguments& arguments) {
  const nibble::Tokenizer tokenizer = load_tokenizer(arguments.model);
  if (arguments.decode) {
    print_text(arguments, tokenizer);
  } else {
    print_ids(arguments, tokenizer);
  }
  return ok;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  CLI::App& command =
      *app.add_subcommand("tokenize", "Turn text into token ids, or back")->group("Look at a model");
  auto arguments = std::make_shared<Arguments>();
  command
      .add_option("-m,--model", arguments->model,
                  "A .gguf file, a tokenizer.json or tokenizer.model, or a folder with one")
      ->type_name("MODEL")
      ->required();
  command
      .add_option("-f,--file", arguments->file, "Read from a file, its bytes as they are (default: stdin)")
      ->type_name("FILE");
  command.add_flag("--no-bos", arguments->no_bos, "Add no BOS (nor EOS) to the text");
  command.add_flag("--no-special", arguments->no_special, "Text that spells a special token stays text");
  command.add_flag("--decode", arguments->decode, "Ids in, text out");
  command.add_flag("--json", arguments->json, "Print a JSON object");
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token&) { return tokenize(*arguments); };
  });
}

}  // namespace cli
