// What the program does about signals; the library handles none.
// Called first in main, before any other thread exists.
#pragma once

#include <functional>
#include <stop_token>

namespace cli {

// From now on the first Ctrl-C (SIGINT) requests the returned token's stop, and the second ends the process
// with exit code 130.
std::stop_token stop_on_interrupt();

// While it lives, Ctrl-C calls `handler` instead, in a thread of its own; false ends the process with 130.
class OnInterrupt {
 public:
  explicit OnInterrupt(std::function<bool()> handler);
  OnInterrupt(const OnInterrupt&) = delete;
  OnInterrupt& operator=(const OnInterrupt&) = delete;
  ~OnInterrupt();

 private:
  std::function<bool()> outer_;  // the handler before this one
};

// A mapped model file that shrinks while in use (SIGBUS) ends the process with a message and exit code 3.
void report_vanished_file();

}  // namespace cli
