// What Session::cancel() reaches from another thread.
// Beside every call of a session that runs the model.
#pragma once

#include <mutex>
#include <stop_token>

namespace nibble::inline v0 {

// What cancel() reaches: the stop of the call that is running, and of none later.
class Cancel {
 public:
  // A running call's scope.
  class Scope {
   public:
    explicit Scope(Cancel& cancel) : cancel_(cancel) { cancel_.set(&source_); }
    ~Scope() { cancel_.set(nullptr); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    std::stop_token token() const noexcept { return source_.get_token(); }

   private:
    Cancel& cancel_;
    std::stop_source source_;
  };

  void request() noexcept {
    const std::lock_guard lock(mutex_);
    if (running_ != nullptr) running_->request_stop();
  }

 private:
  void set(std::stop_source* source) noexcept {
    const std::lock_guard lock(mutex_);
    running_ = source;
  }
  std::mutex mutex_;
  std::stop_source* running_ = nullptr;
};

}  // namespace nibble::inline v0
