// Whose turn it is: a lock that a caller can stop waiting for.
// Between Engine's handles, of which one runs at a time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

// First come, first served, so that a session in a loop starves no other. Never allocates.
class Turn {
 public:
  // Errors: cancelled.
  void take(const std::stop_token& stop = {}) {
    std::unique_lock lock(mutex_);
    Waiter me;
    Waiter** end = &first_;
    while (*end != nullptr) end = &(*end)->next;
    *end = &me;
    const bool mine = changed_.wait(lock, stop, [&] { return !taken_ && first_ == &me; });
    Waiter** at = &first_;
    while (*at != &me) at = &(*at)->next;
    *at = me.next;
    if (mine) {
      taken_ = true;
      return;
    }
    changed_.notify_all();  // the one behind may be first now
    throw Error({.code = ErrorCode::cancelled, .source = "engine", .found = "a stop while waiting"});
  }
  void give_back() noexcept {
    const std::lock_guard lock(mutex_);
    taken_ = false;
    changed_.notify_all();
  }

 private:
  struct Waiter {
    Waiter* next = nullptr;
  };
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Waiter* first_ = nullptr;  // on their callers' stacks
  bool taken_ = false;
};

// A turn taken for the length of a scope.
class TurnGuard {
 public:
  explicit TurnGuard(Turn& turn, const std::stop_token& stop = {}) : turn_(turn) { turn_.take(stop); }
  ~TurnGuard() { turn_.give_back(); }
  TurnGuard(const TurnGuard&) = delete;
  TurnGuard& operator=(const TurnGuard&) = delete;

 private:
  Turn& turn_;
};

}  // namespace nibble::inline v0
