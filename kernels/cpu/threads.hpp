// The CPU backend's own thread pool: one per engine, sized to the CPUs the process may use.
// Workers spin briefly, then sleep; a job is a number of parts, of which each thread begins with its own
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>

namespace nibble::inline v0::cpu {

class ThreadPool {
 public:
  // Errors: out_of_memory (threads or memory); what was started is joined.
  explicit ThreadPool(std::uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::uint32_t size() const noexcept;
  // Calls work(context, part, thread) for every part in [0, parts), fewer than 2^32, the caller being thread
  // 0; returns when all are done. Thread t walks the t-th share of them in order, then takes what others have
  // not come to, from the end. Once `stop` is requested no further part is begun. `work` must not throw.
  // Never allocates.
  void run(std::size_t parts, void (*work)(void* context, std::size_t part, std::uint32_t thread),
           void* context, const std::stop_token& stop) noexcept;

  // run() of a callable.
  template <class Work>
  void for_each(std::size_t parts, const std::stop_token& stop, Work&& work) noexcept {
    run(
        parts,
        [](void* w, std::size_t part, std::uint32_t thread) { (*static_cast<Work*>(w))(part, thread); },
        &work, stop);
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// CPUs this process may run on: the affinity mask, capped by a cgroup quota; at least 1.
std::uint32_t available_cpus() noexcept;

}  // namespace nibble::inline v0::cpu
