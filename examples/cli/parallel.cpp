// A counter that threads draw parts from.
// See parallel.hpp.
#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "nibble/core/error.hpp"

namespace cli {

namespace {

struct Shared {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t failed_part = ~std::size_t{0};
  std::exception_ptr error;

  void fail(std::size_t part, std::size_t parts) {
    const std::lock_guard lock(mutex);
    if (part < failed_part) {
      failed_part = part;
      error = std::current_exception();
    }
    next = parts;
  }
};

}  // namespace

void for_each_part(std::size_t parts, std::uint32_t threads, const std::stop_token& stop,
                   const std::function<void(std::size_t part)>& work) {
  Shared shared;
  const auto draw = [&] {
    while (!stop.stop_requested()) {
      const std::size_t part = shared.next.fetch_add(1);
      if (part >= parts) return;
      try {
        work(part);
      } catch (...) {
        shared.fail(part, parts);
      }
    }
  };
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> others;
    for (std::uint32_t i = 1; i < threads && i < parts; ++i) others.emplace_back(draw);
    draw();
  }
  if (shared.error) std::rethrow_exception(shared.error);
  if (shared.next < parts) throw nibble::Error({.code = nibble::ErrorCode::cancelled});
}

}  // namespace cli
