// nibble chat: a conversation through the model's own template.
// Lines in, answers out; the conversation stays in the session's cache from turn to turn.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "command.hpp"
#include "conversation.hpp"
#include "demo_model.hpp"
#include "input.hpp"
#include "line_reader.hpp"
#include "run_options.hpp"
#include "sampling_options.hpp"
#include "signals.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

struct Arguments {
  RunOptions run;
  nibble::GenerateOptions sampling{.max_tokens = 1u << 30};
  std::optional<std::uint64_t> seed;
  std::string system, variables;
  std::string template_file, template_name;
};

constexpr std::string_view commands =
    "/save FILE and /load FILE keep and bring back the conversation, /clear forgets it, /quit or Ctrl-D "
    "ends; a line\n"
    "that ends in \\ goes on in the next; Ctrl-C stops an answer";

class Chat {
 public:
  Chat(const nibble::Engine& engine, const nibble::ChatTemplate& chat, const Arguments& arguments)
      : context_(engine.options().context),
        sampling_(arguments.sampling),
        conversation_(engine, chat, arguments.system, arguments.variables) {}

  ExitCode run() {
    const OnInterrupt on_interrupt([this] { return interrupt(); });
    if (reader_.is_interactive()) print_note("/help says what can be typed beside messages; Ctrl-D ends");
    while (const auto line = read_message()) {
      if (line->starts_with('/')) {
        if (!command(*line)) break;
      } else if (!line->empty()) {
        answer(*line);
      }
    }
    return std::cout.good() ? ok : failure;
  }

 private:
  // The first Ctrl-C stops an answer, or warns; the second quits.
  bool interrupt() {
    if (conversation_.stop()) return true;
    if (conversation_.is_answering() || warned_.exchange(true)) {
      reader_.restore_terminal();
      return false;
    }
    if (!reader_.interrupt()) print_note("\nCtrl-C again quits");
    return true;
  }

  // A line; where Ctrl-C has ended it, an empty one.
  std::optional<std::string> read_line(const std::string& prompt) {
    std::optional<std::string> line = reader_.read(prompt);
    if (reader_.was_interrupted()) print_note("\nCtrl-C again quits");
    return line;
  }

  std::optional<std::string> read_message() {
    std::optional<std::string> message = read_line("> ");
    while (message && message->ends_with('\\')) {
      message->back() = '\n';
      const auto more = read_line(". ");
      if (reader_.was_interrupted()) return more;
      if (!more) break;
      *message += *more;
    }
    if (!reader_.was_interrupted()) warned_ = false;
    return message;
  }

  bool command(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string path = space == line.npos ? std::string() : line.substr(space + 1);
    try {
      if (name == "/quit") return false;
      if (name == "/clear") {
        conversation_.clear();
      } else if (name == "/save" && !path.empty()) {
        conversation_.save(path);
        print_note(std::to_string(conversation_.messages().size()) + " messages are in " + path);
      } else if (name == "/load" && !path.empty()) {
        conversation_.load(path);
        print_note(std::to_string(conversation_.messages().size()) + " messages from " + path);
      } else {
        print_note(commands);
      }
    } catch (const std::runtime_error& error) {
      print_error(error.what());
    }
    return true;
  }

  void answer(const std::string& text) {
    try {
      bool ends_line = true;
      const nibble::Generation made = conversation_.answer(text, sampling_, [&](std::string_view part) {
        std::cout << part << std::flush;
        ends_line = part.ends_with('\n');
        return std::cout.good();
      });
      if (!ends_line) std::cout << std::endl;
      print_note(format_rate(made.tokens.size(), made.generate_seconds) + ", ended by " +
                 std::string(to_string(made.reason)) + "; " + std::to_string(conversation_.n_tokens()) +
                 " of " + std::to_string(context_) + " positions");
      ++sampling_.seed;
    } catch (const nibble::Error& error) {
      using enum nibble::ErrorCode;
      const nibble::ErrorCode code = error.code();
      if (code == out_of_memory || code == device_lost || code == internal) throw;
      print_error(error.what());
      print_note(code == context_overflow ? "the message was not added; /clear makes room"
                                          : "the message was not added");
    }
  }

  const std::uint32_t context_;
  nibble::GenerateOptions sampling_;
  Conversation conversation_;
  LineReader reader_;
  std::atomic<bool> warned_ = false;
};

nibble::ChatTemplate chat_template(const Arguments& arguments, const nibble::Model& model) {
  const std::string& file = arguments.template_file;
  const std::string source = file.empty() ? std::string() : read_input(file);
  return opening([&] {
    if (!file.empty()) return nibble::ChatTemplate(source, model.tokenizer(), file);
    return arguments.template_name.empty()
               ? nibble::ChatTemplate(model.tokenizer(), model.limits())
               : nibble::ChatTemplate(model.tokenizer(), arguments.template_name, model.limits());
  });
}

ExitCode chat(Arguments& arguments, const std::stop_token& stop) {
  const std::string path = arguments.run.model.empty() ? find_demo_model() : arguments.run.model;
  const nibble::Model model = open_model(path, stop);
  const nibble::ChatTemplate chat = chat_template(arguments, model);
  const nibble::Engine engine = make_engine(model, arguments.run.engine, stop);
  arguments.sampling.seed = arguments.seed ? *arguments.seed : std::random_device()();
  arguments.sampling.progress = progress_bar();
  return Chat(engine, chat, arguments).run();
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("chat", "Talk to a model")->group("Run a model");
  auto arguments = std::make_shared<Arguments>();
  command
      .add_option("-m,--model", arguments->run.model, "A .gguf file or a folder (default: the demo model)")
      ->type_name("MODEL");
  command.add_option("--system", arguments->system, "What the model is told before the conversation")
      ->type_name("TEXT");
  command
      .add_option("--variables", arguments->variables,
                  "More for the template, such as {\"enable_thinking\": false}")
      ->type_name("JSON")
      ->check([](const std::string& text) {
        return nlohmann::json::parse(text, nullptr, false).is_object() ? "" : "a JSON object is wanted";
      });
  CLI::Option& file = *command
                           .add_option("--template", arguments->template_file,
                                       "A Jinja file in place of the model's own template")
                           ->type_name("FILE");
  command
      .add_option("--template-name", arguments->template_name,
                  "Which of the model's templates, where it has several (default: default)")
      ->type_name("NAME")
      ->excludes(&file);
  command
      .add_option("-n,--n-predict", arguments->sampling.max_tokens,
                  "Tokens of one answer at most (default: what the context has room for)")
      ->type_name("N");
  add_sampling_options(command, arguments->sampling, arguments->seed);
  add_run_options(command, arguments->run);
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return chat(*arguments, stop); };
  });
}

}  // namespace cli
