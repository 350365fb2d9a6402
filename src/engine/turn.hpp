// Whose turn it is: a lock that a caller can stop waiting for.
// Between Engine's handles, of which one runs at a time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

class Turn {
 public:
  // Errors: cancelled.
  void take(const std::stop_token& stop = {}) {
    std::unique_lock lock(mutex_);
    if (!freed_.wait(lock, stop, [this] { return !taken_; }))
      throw Error({.code = ErrorCode::cancelled, .source = "engine", .found = "a stop while waiting"});
    taken_ = true;
  }
  void give_back() noexcept {
    const std::lock_guard lock(mutex_);
    taken_ = false;
    freed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any freed_;
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
