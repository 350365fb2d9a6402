// A thread waits for SIGINT, so that stopping may take locks, which a signal handler must not.
// See signals.hpp.
#include "signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "exit_code.hpp"

namespace cli {

namespace {

std::mutex mutex;
std::function<bool()> current_handler;

// What the handler says, if there is one.
std::optional<bool> handled() {
  const std::lock_guard lock(mutex);
  return current_handler ? std::optional(current_handler()) : std::nullopt;
}

}  // namespace

OnInterrupt::OnInterrupt(std::function<bool()> handler) : outer_(std::move(handler)) {
  const std::lock_guard lock(mutex);
  current_handler.swap(outer_);
}

OnInterrupt::~OnInterrupt() {
  const std::lock_guard lock(mutex);
  current_handler.swap(outer_);
}

std::stop_token stop_on_interrupt() {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);  // inherited by every later thread
  std::stop_source source;
  std::thread([interrupt, source]() mutable {
    while (true) {
      int signal = 0;
      sigwait(&interrupt, &signal);
      const std::optional<bool> goes_on = handled();
      if (goes_on == true) continue;
      if (goes_on == false || !source.request_stop()) _exit(cancelled);
    }
  }).detach();
  return source.get_token();
}

void report_vanished_file() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    constexpr std::string_view message = "\nnibble: the model file shrank while it was in use\n";
    if (write(STDERR_FILENO, message.data(), message.size()) < 0) _exit(failure);
    _exit(bad_model);
  };
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace cli
