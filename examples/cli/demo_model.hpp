// Where the bundled model lies when no -m is given.
// Installed beside the program, else in the source tree it was built from.
#pragma once

#include <string>

namespace cli {

// Failure(bad_model) where neither place has it.
std::string find_demo_model();

}  // namespace cli
