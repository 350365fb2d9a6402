// nibble: small language models on the command line.
// Parses the arguments, runs the chosen command, turns every error into a message and an exit code.
#include <CLI/CLI.hpp>
#include <iostream>

#include "command.hpp"
#include "nibble/version.hpp"
#include "signals.hpp"
#include "suggestion.hpp"
#include "terminal.hpp"
#include "terminal_text.hpp"

namespace {

void add_commands(CLI::App& app, cli::Action& action) {
  app.require_subcommand(1);
  app.option_defaults()->take_last();  // an option given twice means its last value
  app.set_version_flag("--version", "nibble " + std::string(nibble::version));
  cli::add_generate(app, action);
  cli::add_chat(app, action);
  cli::add_eval(app, action);
  cli::add_perplexity(app, action);
  cli::add_bench(app, action);
  cli::add_tokenize(app, action);
  cli::add_template(app, action);
  cli::add_inspect(app, action);
  cli::add_plan(app, action);
  cli::add_quantize(app, action);
  cli::add_synth(app, action);
}

int run(const cli::Action& action, const std::stop_token& stop) {
  try {
    const cli::ExitCode code = action(stop);
    if (!std::cout.flush()) throw cli::Failure(cli::failure, "stdout cannot be written");
    return code;
  } catch (const cli::Failure& failure) {
    cli::print_error(failure.what());
    return failure.code;
  } catch (const nibble::Error& error) {
    cli::print_error(error.what());
    if (error.code() == nibble::ErrorCode::context_overflow) cli::print_note("-c makes a longer context");
    // No option of this program rules out every token; weights that are not finite do.
    return error.field() == "logits" ? cli::bad_model : cli::exit_code(error.code(), cli::Phase::running);
  } catch (const std::bad_alloc&) {
    cli::print_error("out of memory");
    return cli::out_of_memory;
  } catch (const std::exception& error) {
    cli::print_error(error.what());
    return cli::failure;
  }
}

// Help and version go to stdout; anything else is a usage error.
int explain(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) {
    const auto print = [&](const std::stop_token&) {
      app.exit(error, std::cout, std::cerr);
      return cli::ok;
    };
    return run(print, {});
  }
  const bool unknown = app.get_subcommands().empty() && argc > 1 && *argv[1] != '-';
  const std::string message = unknown ? std::string("unknown command ") + argv[1] : error.what();
  cli::print_error(message + cli::suggestion(app, {argv + 1, argv + argc}));
  cli::print_note("`nibble --help` lists the commands, `nibble COMMAND --help` their options");
  return cli::usage;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  cli::report_vanished_file();
  const cli::TerminalText terminal_text;
  const std::stop_token stop = cli::stop_on_interrupt();
  CLI::App app("Runs small language models on this machine, offline.", "nibble");
  cli::Action action;
  add_commands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return explain(app, error, argc, argv);
  }
  return run(action, stop);
}
