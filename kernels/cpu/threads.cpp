// The thread pool: one atomic word says which job is open and how many workers are inside it.
// Workers that come late find the job closed and miss nothing, so a descheduled thread delays nobody.
#include "kernels/cpu/threads.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "nibble/core/error.hpp"

namespace nibble::inline v0::cpu {

namespace {

constexpr std::uint64_t active_mask = 0xffff'ffff;  // workers inside the open job
constexpr std::uint64_t open_bit = 1ull << 32;
constexpr std::uint64_t epoch_one = 1ull << 33;  // jobs so far, above the open bit

// Long enough to bridge the gap between two steps of a plan, short enough to cost nothing when idle.
constexpr int spin_rounds = 4'000;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The parts that a thread has still to do: its own from the front, in order, so that what they read is one
// stream; others, when they are done with theirs, from the back.
struct alignas(64) Share {
  static constexpr std::uint64_t one_begin = 1, one_end = 1ull << 32;
  std::atomic<std::uint64_t> range{0};  // begin, then end above it

  void give(std::uint64_t begin, std::uint64_t end) noexcept {
    range.store(end * one_end + begin, std::memory_order_relaxed);
  }

  bool take(bool front, std::size_t& part) noexcept {
    std::uint64_t now = range.load(std::memory_order_relaxed), after = 0;
    do {
      const std::uint64_t begin = now % one_end, end = now / one_end;
      if (begin == end) return false;
      part = front ? begin : end - 1;
      after = front ? now + one_begin : now - one_end;
    } while (!range.compare_exchange_weak(now, after, std::memory_order_relaxed));
    return true;
  }
};

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::vector<Share> shares;  // one for each thread
  int spin = spin_rounds;

  alignas(64) std::atomic<std::uint64_t> word{0};
  // The open job, in the same line; written, as the shares are, only while no job is open and nobody is
  // inside.
  void (*work)(void*, std::size_t, std::uint32_t) = nullptr;
  void* context = nullptr;
  const std::stop_token* stop = nullptr;

  std::atomic<std::uint32_t> sleepers{0};  // threads in, or about to enter, a wait
  std::atomic<bool> quit{false};
  std::mutex mutex;
  std::condition_variable changed;

  // Spins, then sleeps, until ready(). Whoever makes it ready calls wake() afterwards; all of this is
  // sequentially consistent, so that either the sleeper sees the change or the waker sees the sleeper.
  template <class Ready>
  void wait(Ready ready) noexcept {
    for (int i = 0; i < spin; ++i) {
      if (ready()) return;
      pause();
    }
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1);
    changed.wait(lock, ready);
    sleepers.fetch_sub(1);
  }

  void wake() noexcept {
    if (sleepers.load() == 0) return;
    { std::lock_guard lock(mutex); }
    changed.notify_all();
  }

  void take_parts(std::uint32_t thread) noexcept {
    for (std::size_t i = 0; i < shares.size(); ++i) {
      Share& share = shares[(thread + i) % shares.size()];
      for (std::size_t part; !stop->stop_requested() && share.take(i == 0, part);) {
        work(context, part, thread);
      }
    }
  }

  void worker(std::uint32_t thread) noexcept {
    std::uint64_t done = 0;  // epoch of the last job seen
    for (;;) {
      wait([&] { return quit.load() || word.load() / epoch_one != done; });
      if (quit.load()) return;
      std::uint64_t seen = word.load();
      done = seen / epoch_one;
      while ((seen & open_bit) != 0 && seen / epoch_one == done) {
        if (!word.compare_exchange_weak(seen, seen + 1)) continue;
        take_parts(thread);
        if (const std::uint64_t left = word.fetch_sub(1) - 1; (left & (open_bit | active_mask)) == 0) wake();
        break;
      }
    }
  }

  void join() noexcept {
    quit.store(true);
    wake();
    for (std::thread& thread : workers) thread.join();
  }
};

ThreadPool::ThreadPool(std::uint32_t threads) : state_(std::make_unique<State>()) {
  state_->shares = std::vector<Share>(threads);
  if (threads > available_cpus()) state_->spin = 0;
  try {
    state_->workers.reserve(threads - 1);
    for (std::uint32_t i = 1; i < threads; ++i) {
      state_->workers.emplace_back([state = state_.get(), i] { state->worker(i); });
    }
  } catch (const std::exception&) {  // no memory, or no more threads
    state_->join();
    throw Error({.code = ErrorCode::out_of_memory,
                 .source = "thread pool",
                 .field = "threads",
                 .found = std::to_string(threads),
                 .allowed = "at most " + std::to_string(state_->workers.size() + 1) + " just now"});
  }
}

ThreadPool::~ThreadPool() { state_->join(); }

std::uint32_t ThreadPool::size() const noexcept {
  return static_cast<std::uint32_t>(state_->workers.size()) + 1;
}

void ThreadPool::run(std::size_t parts, void (*work)(void* context, std::size_t part, std::uint32_t thread),
                     void* context, const std::stop_token& stop) noexcept {
  State& s = *state_;
  if (parts <= 1 || s.workers.empty()) {
    for (std::size_t part = 0; part < parts && !stop.stop_requested(); ++part) work(context, part, 0);
    return;
  }
  s.work = work;
  s.context = context;
  s.stop = &stop;
  const std::size_t threads = s.shares.size();
  for (std::size_t i = 0; i < threads; ++i) s.shares[i].give(parts * i / threads, parts * (i + 1) / threads);
  s.word.store((s.word.load() / epoch_one + 1) * epoch_one | open_bit);
  s.wake();
  s.take_parts(0);
  s.word.fetch_and(~open_bit);
  s.wait([&] { return (s.word.load() & active_mask) == 0; });
}

}  // namespace nibble::inline v0::cpu
