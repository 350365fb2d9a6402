// "Did you mean ...?" for misspelt commands and options.
// Used by main.cpp when parsing fails.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cli {

// "; did you mean generate?" for the first word of the command line that nearly spells a command or option
// without being one; else empty.
std::string suggestion(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace cli
