// Declaring how tokens are chosen.
// See sampling_options.hpp.
#include "sampling_options.hpp"

#include <CLI/CLI.hpp>

namespace cli {

void add_sampling_options(CLI::App& command, nibble::GenerateOptions& sampling,
                          std::optional<std::uint64_t>& seed) {
  constexpr const char* group = "Sampling";
  command.add_option("--temp", sampling.temperature, "Temperature; 0 is greedy (default: 0.8)")
      ->type_name("T")
      ->group(group);
  command.add_option("--top-k", sampling.top_k, "Keep the K likeliest tokens; 0: all (default: 40)")
      ->type_name("K")
      ->group(group);
  command.add_option("--top-p", sampling.top_p, "Keep the likeliest tokens that make up P (default: 0.95)")
      ->type_name("P")
      ->group(group);
  command.add_option("--min-p", sampling.min_p, "Drop tokens below P times the likeliest (default: 0.05)")
      ->type_name("P")
      ->group(group);
  command.add_option("--typical", sampling.typical_p, "Locally typical sampling; 1: off (default: 1)")
      ->type_name("P")
      ->group(group);
  command
      .add_option("--repeat-penalty", sampling.repetition_penalty,
                  "Over the last 64 tokens; 1: off (default: 1)")
      ->type_name("X")
      ->group(group);
  command.add_option("--presence-penalty", sampling.presence_penalty, "0: off (default: 0)")
      ->type_name("X")
      ->group(group);
  command.add_option("--frequency-penalty", sampling.frequency_penalty, "0: off (default: 0)")
      ->type_name("X")
      ->group(group);
  command.add_option("--seed", seed, "Of the random choices (default: another each time)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S")
      ->group(group);
  command
      .add_option(
          "--lookup", sampling.draft_tokens,
          "Guess up to N tokens ahead where the text repeats itself; 0: off. Changes the speed, never "
          "the text (default: 15)")
      ->type_name("N")
      ->group(group);
}

}  // namespace cli
