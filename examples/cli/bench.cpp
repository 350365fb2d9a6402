// nibble bench: tokens a second of prompts and generations, beside what the machine's limits would allow.
// bench_test.hpp counts the work, bench_run.hpp takes the time, bench_report.hpp prints.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <random>
#include <utility>

#include "bench_report.hpp"
#include "bench_run.hpp"
#include "command.hpp"
#include "demo_model.hpp"
#include "run_options.hpp"
#include "synthetic.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

using Numbers = std::vector<std::uint32_t>;

constexpr double worth_saying = 0.10;  // a difference between the limits before and after the tests

struct Arguments {
  RunOptions run;
  std::string synthetic;
  Numbers prompts = {512}, gens = {64}, depths = {0}, seqs = {1}, threads = {0};
  std::uint32_t repetitions = 3;
  BenchForm form = BenchForm::md;
};

// Depths outside, so that each is filled once.
std::vector<BenchTest> list_tests(const Arguments& arguments) {
  std::vector<BenchTest> tests;
  for (const std::uint32_t depth : arguments.depths) {
    for (const std::uint32_t n : arguments.prompts) {
      if (n != 0) tests.push_back({n, 0, depth, 1});
    }
    for (const std::uint32_t n : arguments.gens) {
      for (const std::uint32_t n_seqs : arguments.seqs) {
        if (n != 0) tests.push_back({0, n, depth, n_seqs});
      }
    }
  }
  if (tests.empty()) throw Failure(usage, "nothing to measure: both -p and -n are 0");
  return tests;
}

// Room for the largest of the tests, where -c does not say otherwise.
nibble::EngineOptions options_for(const Arguments& arguments, const std::vector<BenchTest>& tests) {
  nibble::EngineOptions options = arguments.run.engine;
  std::uint32_t positions = 0;
  for (const BenchTest& test : tests) {
    positions = std::max(positions, test.positions());
    options.sequences = std::max(options.sequences, test.n_seqs);
  }
  if (options.context == 0) options.context = positions;
  if (options.context < positions)
    throw Failure(context_overflow, "-c " + std::to_string(options.context) + ": the tests need " +
                                        std::to_string(positions) + " positions");
  return options;
}

// A model of random weights from a file that has no name any more once it is open.
nibble::Model open_synthetic(const std::string& name, const std::stop_token& stop) {
  const std::size_t colon = name.find(':');
  if (colon == name.npos) throw Failure(usage, "--synthetic " + name + ": not PRESET:TYPE");
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("nibble-bench-" + std::to_string(std::random_device()()) + ".gguf");
  struct Removal {
    const std::filesystem::path& path;
    ~Removal() {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
  } removal{path};
  write_synthetic({.preset = name.substr(0, colon), .type = name.substr(colon + 1)}, path, stop);
  return open_model(path.string(), stop);
}

std::pair<std::string, nibble::Model> open_named(const Arguments& arguments, const std::stop_token& stop) {
  if (!arguments.synthetic.empty()) return {arguments.synthetic, open_synthetic(arguments.synthetic, stop)};
  const std::string path = arguments.run.model.empty() ? find_demo_model() : arguments.run.model;
  return {(std::filesystem::path(path) / "").parent_path().filename().string(), open_model(path, stop)};
}

void note_change(const char* what, double before, double after) {
  if (std::abs(before - after) <= worth_saying * std::max(before, after)) return;
  print_note("the machine's limits changed while the tests ran: " + std::string(what) + " " +
             format_number(before, 1) + " before, " + format_number(after, 1) +
             " after; the better one counts");
}

// The limits before and after the tests, as one.
probe::Limits combine(probe::Limits before, const probe::Limits& after) {
  note_change("GB/s read", before.read_gbps, after.read_gbps);
  for (std::size_t i = 0; i < before.peaks.size(); ++i) {
    const std::string name = "GMAC/s of " + std::string(before.peaks[i].instruction);
    note_change(name.c_str(), before.peaks[i].gmacs, after.peaks[i].gmacs);
  }
  before.merge(after);
  return before;
}

ExitCode bench(const Arguments& arguments, const std::stop_token& stop) {
  const std::vector<BenchTest> tests = list_tests(arguments);
  nibble::EngineOptions options = options_for(arguments, tests);
  const auto [name, model] = open_named(arguments, stop);
  std::vector<BenchRecord> records;
  for (const std::uint32_t threads : arguments.threads) {
    options.threads = threads;
    const nibble::Engine engine = make_engine(model, options, stop);
    const std::uint32_t n = engine.options().threads;
    const probe::Limits before = probe::measure_limits(n);
    BenchRun run(engine);
    std::vector<std::vector<double>> rates;
    for (const BenchTest& test : tests) rates.push_back(run.measure(test, arguments.repetitions, stop));
    const probe::Limits limits = combine(before, probe::measure_limits(n));
    for (std::size_t i = 0; i < tests.size(); ++i)
      records.push_back(make_record(engine, name, limits, tests[i], rates[i]));
  }
  print_records(records, arguments.form);
  return ok;
}

void add_numbers(CLI::App& command, const char* name, Numbers& numbers, std::uint32_t least,
                 const char* description) {
  command.add_option(name, numbers, description)
      ->type_name("N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(least, 1u << 24));
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App& command = *app.add_subcommand("bench", "Measure a model's speed against the machine's limits")
                           ->group("Run a model");
  auto arguments = std::make_shared<Arguments>();
  CLI::Option* const model = command
                                 .add_option("-m,--model", arguments->run.model,
                                             "A .gguf file or a folder (default: the demo model)")
                                 ->type_name("MODEL");
  command
      .add_option("--synthetic", arguments->synthetic,
                  "Random weights in a published model's shapes instead, as `nibble synth` makes them")
      ->type_name("PRESET:TYPE")
      ->excludes(model);
  add_numbers(command, "-p", arguments->prompts, 0, "Tokens of a prompt; 0: no such test (default: 512)");
  add_numbers(command, "-n", arguments->gens, 0, "Tokens to generate; 0: no such test (default: 64)");
  add_numbers(command, "-d", arguments->depths, 0, "Positions already cached (default: 0)");
  add_numbers(command, "-b", arguments->seqs, 1, "Sequences that generate together (default: 1)");
  add_numbers(command, "-t,--threads", arguments->threads, 1,
              "CPU threads (default: one per CPU it may use)");
  command.add_option("-r", arguments->repetitions, "Repetitions of each test (default: 3)")
      ->type_name("N")
      ->check(CLI::Range(1u, 1000u));
  static const std::map<std::string, BenchForm> forms = {
      {"md", BenchForm::md}, {"json", BenchForm::json}, {"csv", BenchForm::csv}};
  command
      .add_option_function<std::string>(
          "-o", [arguments](const std::string& name) { arguments->form = forms.at(name); },
          "What to print (default: md)")
      ->type_name("md|json|csv")
      ->check(CLI::IsMember(forms));
  add_engine_options(command, arguments->run.engine);
  command.callback([arguments, &action] {
    action = [arguments](const std::stop_token& stop) { return bench(*arguments, stop); };
  });
}

}  // namespace cli
