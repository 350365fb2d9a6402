// libedit on a terminal, plain lines elsewhere.
// See line_reader.hpp.
#include "line_reader.hpp"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "terminal.hpp"

#ifdef NIBBLE_LIBEDIT
#include <histedit.h>

#include <clocale>
#endif

namespace cli {

struct LineReader::State {
  bool interactive = is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
  termios found{};
#ifdef NIBBLE_LIBEDIT
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string prompt;
#endif
};

#ifdef NIBBLE_LIBEDIT

namespace {

// libedit hands its client data to the prompt function.
char* show_prompt(EditLine* editor) {
  void* prompt = nullptr;
  el_get(editor, EL_CLIENTDATA, &prompt);
  return static_cast<std::string*>(prompt)->data();
}

}  // namespace

LineReader::LineReader() : state_(std::make_unique<State>()) {
  if (!state_->interactive) return;
  tcgetattr(STDIN_FILENO, &state_->found);
  std::setlocale(LC_CTYPE, "");  // libedit counts characters
  state_->editor = el_init("nibble", stdin, stderr, stderr);
  state_->history = history_init();
  if (state_->editor == nullptr || state_->history == nullptr) return;
  HistEvent event;
  history(state_->history, &event, H_SETSIZE, 500);
  el_set(state_->editor, EL_CLIENTDATA, &state_->prompt);
  el_set(state_->editor, EL_PROMPT, show_prompt);
  el_set(state_->editor, EL_EDITOR, "emacs");
  el_set(state_->editor, EL_HIST, history, state_->history);
  el_set(state_->editor, EL_PREP_TERM, 1);
}

LineReader::~LineReader() {
  if (state_->editor != nullptr) el_end(state_->editor);
  if (state_->history != nullptr) history_end(state_->history);
}

std::optional<std::string> LineReader::read(const std::string& prompt) {
  if (state_->editor != nullptr && state_->history != nullptr) {
    state_->prompt = prompt;
    int n = 0;
    const char* const line = el_gets(state_->editor, &n);
    el_set(state_->editor, EL_PREP_TERM, 1);  // el_gets undid it; a Ctrl-D typed ahead would be lost
    if (line == nullptr || n <= 0) return std::nullopt;
    HistEvent event;
    if (*line != '\n') history(state_->history, &event, H_ENTER, line);
    return std::string(line, static_cast<std::size_t>(line[n - 1] == '\n' ? n - 1 : n));
  }
#else

LineReader::LineReader() : state_(std::make_unique<State>()) {
  if (state_->interactive) tcgetattr(STDIN_FILENO, &state_->found);
}

LineReader::~LineReader() = default;

std::optional<std::string> LineReader::read(const std::string& prompt) {
#endif
  if (state_->interactive) std::cerr << prompt << std::flush;
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

void LineReader::restore_terminal() noexcept {
  if (state_->interactive) tcsetattr(STDIN_FILENO, TCSANOW, &state_->found);
}

}  // namespace cli
