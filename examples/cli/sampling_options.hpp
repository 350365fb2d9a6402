// How tokens are chosen: the options of every command that generates text.
// Temperature, truncations, penalties, the seed, and guessing ahead.
#pragma once

#include <optional>

#include "nibble/session.hpp"

namespace CLI {
class App;
}

namespace cli {

// Both must live until the command has run.
void add_sampling_options(CLI::App& command, nibble::GenerateOptions& sampling,
                          std::optional<std::uint64_t>& seed);

}  // namespace cli
