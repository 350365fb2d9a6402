// The exit codes of every command, and the one table that gives each library error its code.
// Used by main.cpp, where all errors end, and by what opens model files.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"

namespace cli {

enum ExitCode : int {
  ok = 0,
  failure = 1,
  usage = 2,
  bad_model = 3,
  out_of_memory = 4,
  context_overflow = 5,
  cancelled = 130,
};

// Who is to blame for a code that both a model file and the user can cause.
enum class Phase { opening, running };

ExitCode exit_code(nibble::ErrorCode code, Phase phase) noexcept;

// Ends a command with a message and an exit code.
struct Failure : std::runtime_error {
  Failure(ExitCode exit, const std::string& message) : std::runtime_error(message), code(exit) {}
  ExitCode code;
};

// Runs `open`; what it throws is blamed on the model file.
template <class Open>
auto opening(Open&& open) {
  try {
    return std::forward<Open>(open)();
  } catch (const nibble::Error& error) {
    throw Failure(exit_code(error.code(), Phase::opening), error.what());
  }
}

}  // namespace cli
