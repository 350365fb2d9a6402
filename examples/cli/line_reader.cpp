// libedit on a terminal, plain lines elsewhere.
// See line_reader.hpp.
#include "line_reader.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <iostream>

#include "terminal.hpp"

#ifdef NIBBLE_LIBEDIT
#include <histedit.h>

#include <clocale>
#endif

namespace cli {

struct LineReader::State {
  bool interactive = is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
  bool interrupted = false;
  termios found{};
#ifdef NIBBLE_LIBEDIT
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string prompt;
  std::mbstate_t character{};  // what has been read of one
  int wake[2] = {-1, -1};      // a byte through it ends a line under way
#endif
};

bool LineReader::is_interactive() const noexcept { return state_->interactive; }

bool LineReader::was_interrupted() const noexcept { return state_->interrupted; }

#ifdef NIBBLE_LIBEDIT

// What libedit calls; its client data is the state.
struct LineReader::Callbacks {
  static State& state(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }

  static char* prompt(EditLine* editor) { return state(editor).prompt.data(); }

  // One character; 0 at the end, -1 on an error or where the line is interrupted.
  static int read_character(EditLine* editor, wchar_t* character) {
    State& s = state(editor);
    while (true) {
      pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {s.wake[0], POLLIN, 0}};
      if (poll(ready, std::size(ready), -1) < 0) {
        if (errno == EINTR) continue;
        return -1;
      }
      char byte = 0;
      if (ready[1].revents != 0) {
        s.interrupted = ::read(s.wake[0], &byte, 1) == 1;
        return -1;
      }
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n <= 0) return static_cast<int>(n);
      const std::size_t used = std::mbrtowc(character, &byte, 1, &s.character);
      if (used == static_cast<std::size_t>(-2)) continue;  // the rest of it is to come
      if (used == static_cast<std::size_t>(-1)) {
        s.character = {};
        *character = 0xfffd;
      }
      return 1;
    }
  }
};

LineReader::LineReader() : state_(std::make_unique<State>()) {
  if (!state_->interactive) return;
  tcgetattr(STDIN_FILENO, &state_->found);
  std::setlocale(LC_CTYPE, "");                              // libedit counts characters
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");  // prompts are UTF-8 where nobody says so, too
  state_->editor = el_init("nibble", stdin, stderr, stderr);
  state_->history = history_init();
  if (state_->editor == nullptr || state_->history == nullptr || pipe(state_->wake) != 0) return;
  HistEvent event;
  history(state_->history, &event, H_SETSIZE, 500);
  el_set(state_->editor, EL_CLIENTDATA, state_.get());
  el_set(state_->editor, EL_PROMPT, Callbacks::prompt);
  el_set(state_->editor, EL_GETCFN, Callbacks::read_character);
  el_set(state_->editor, EL_EDITOR, "emacs");
  el_set(state_->editor, EL_HIST, history, state_->history);
  // Between two lines libedit puts the terminal back for a moment; a Ctrl-D typed then would be lost as an
  // end of input nobody waits for. Without that key it stays a character, which the next line reads.
  el_set(state_->editor, EL_SETTY, "-x", "eof=", nullptr);
  el_set(state_->editor, EL_PREP_TERM, 1);
}

LineReader::~LineReader() {
  if (state_->editor != nullptr) {
    el_end(state_->editor);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &state_->found);
  }
  if (state_->history != nullptr) history_end(state_->history);
  for (const int end : state_->wake)
    if (end >= 0) close(end);
}

bool LineReader::interrupt() noexcept { return state_->wake[1] >= 0 && ::write(state_->wake[1], "", 1) == 1; }

std::optional<std::string> LineReader::read(const std::string& prompt) {
  if (state_->wake[0] >= 0) {
    state_->prompt = prompt;
    state_->interrupted = false;
    el_resize(state_->editor);
    int n = 0;
    const char* const line = el_gets(state_->editor, &n);
    el_set(state_->editor, EL_PREP_TERM, 1);  // el_gets undid it
    if (state_->interrupted) return std::string();
    if (line == nullptr || n <= 0) {
      std::cerr << '\n';
      return std::nullopt;
    }
    HistEvent event;
    if (*line != '\n') history(state_->history, &event, H_ENTER, line);
    return std::string(line, static_cast<std::size_t>(line[n - 1] == '\n' ? n - 1 : n));
  }
#else

LineReader::LineReader() : state_(std::make_unique<State>()) {
  if (state_->interactive) tcgetattr(STDIN_FILENO, &state_->found);
}

LineReader::~LineReader() = default;

bool LineReader::interrupt() noexcept { return false; }

std::optional<std::string> LineReader::read(const std::string& prompt) {
#endif
  if (state_->interactive) std::cerr << prompt << std::flush;
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

void LineReader::restore_terminal() noexcept {
  if (!state_->interactive) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &state_->found);
  std::fputc('\n', stderr);
}

}  // namespace cli
