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

  // The next line without its end; nothing at the end of input; an empty one if it was interrupted. `prompt`
  // is shown on a terminal only.
  std::optional<std::string> read(const std::string& prompt);
  // From another thread: what has been typed of the line is forgotten. False where lines are not edited.
  bool interrupt() noexcept;
  bool was_interrupted() const noexcept;  // the last line
  bool is_interactive() const noexcept;
  // Leaves the terminal as it was found, in a new line; for an end in the middle of one.
  void restore_terminal() noexcept;

 private:
  struct State;
  struct Callbacks;
  std::unique_ptr<State> state_;
};

}  // namespace cli
