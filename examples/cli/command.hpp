// What a command is: a function that declares its options and hands back what to do once they are parsed.
// main.cpp lists the commands; each lives in the file of its name.
#pragma once

#include <functional>
#include <stop_token>

#include "exit_code.hpp"

namespace CLI {
class App;
}

namespace cli {

// `stop` is requested by Ctrl-C.
using Action = std::function<ExitCode(const std::stop_token& stop)>;

// Each declares its subcommand in `app`; when that is the one chosen, `action` is set.
void add_generate(CLI::App& app, Action& action);
void add_chat(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_template(CLI::App& app, Action& action);
void add_perplexity(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_synth(CLI::App& app, Action& action);

}  // namespace cli
