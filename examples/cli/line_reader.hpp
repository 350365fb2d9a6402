// Lines from a person or a script.
// On a terminal with editing and a history, where libedit was there when this was built.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace cli {

class LineReader {
 public:
  LineReader();
  ~LineReader();

  // The next line without its end; nothing at the end of input. `prompt` is shown on a terminal only.
  std::optional<std::string> read(const std::string& prompt);
  // Leaves the terminal as it was found; for an end in the middle of a line.
  void restore_terminal() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cli
