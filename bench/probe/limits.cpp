// The measuring: the same loop on all threads at once, each noting its progress; the best moment counts.
// See limits.hpp; the loops themselves are in loops.cpp.
#include "bench/probe/limits.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <stop_token>
#include <thread>

#include "bench/probe/loops.hpp"

namespace probe {

namespace {

// Far beyond any cache: 512 units of a megabyte, 32 of them or more for each thread.
constexpr std::size_t read_unit = std::size_t{1} << 20, read_units = 512, least_units = 32;
constexpr double read_window = 0.008, read_seconds = 0.2;
constexpr double dot_unit_seconds = 0.0001, dot_window = 0.001, dot_seconds = 0.08;

double now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// When a thread began, and when it had finished each of its units of work.
using Times = std::vector<double>;

// Units that a thread had finished at `time`, a unit under way in parts.
double units_at(const Times& times, double time) {
  const auto next = std::ranges::upper_bound(times, time);
  const double done = static_cast<double>(next - times.begin()) - 1;
  return done + (time - next[-1]) / (*next - next[-1]);
}

// Each thread's times, all of them at work(thread, unit) for so many seconds.
std::vector<Times> run_threads(std::uint32_t threads, double seconds,
                               const std::function<void(std::uint32_t, std::size_t)>& work) {
  std::vector<Times> times(threads);
  std::atomic<std::uint32_t> begun = 0;
  std::stop_source stop;
  const auto run = [&](std::uint32_t thread) {
    Times& own = times[thread];
    own.push_back(now());
    ++begun;
    double all_began = own.back();
    while (!stop.stop_requested()) {
      work(thread, own.size() - 1);
      own.push_back(now());
      if (begun < threads) all_began = own.back();
      if (thread == 0 && own.back() - all_began >= seconds) stop.request_stop();
    }
  };
  struct StopAtEnd {
    std::stop_source& stop;
    ~StopAtEnd() { stop.request_stop(); }
  };
  std::vector<std::jthread> others;
  const StopAtEnd stop_at_end{stop};
  for (std::uint32_t thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  return times;
}

// Units a second that these threads together finish in the best moment of `window` seconds.
double best_rate(std::span<const Times> times, double window) {
  double begin = 0, end = std::numeric_limits<double>::infinity();  // while all were at work
  for (const Times& own : times) {
    begin = std::max(begin, own.front());
    end = std::min(end, own.back());
  }
  double best = 0;
  for (const double from : times[0]) {
    if (from < begin || from + window >= end) continue;
    double units = 0;
    for (const Times& own : times) units += units_at(own, from + window) - units_at(own, from);
    best = std::max(best, units / window);
  }
  return best;
}

double measure_reading(std::uint32_t threads) {
  const std::size_t n_units = std::max(read_units / threads, least_units);  // a thread's own
  const Memory memory(n_units * threads * read_unit);
  const auto unit_of = [&](std::uint32_t thread, std::size_t unit) {
    return std::span(memory.data() + (thread * n_units + unit % n_units) * read_unit, read_unit);
  };
  double best = 0;
  for (const ReadLoop loop : read_loops()) {
    const auto times = run_threads(
        threads, read_seconds, [&](std::uint32_t thread, std::size_t unit) { loop(unit_of(thread, unit)); });
    best = std::max(best, best_rate(times, read_window));
  }
  return best * read_unit / 1e9;
}

double measure_dots(const DotLoop& dots, std::uint32_t threads) {
  constexpr std::uint64_t trial = 1000;
  double seconds = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 20; ++i) {
    const double began = now();
    dots.run(trial);
    seconds = std::min(seconds, now() - began);
  }
  const auto turns = static_cast<std::uint64_t>(trial * dot_unit_seconds / seconds) + 1;
  const auto times = run_threads(threads, dot_seconds, [&](std::uint32_t, std::size_t) { dots.run(turns); });
  // Each thread's own best moment: they share nothing but cores, whose other half is busy in any case.
  double rate = 0;
  for (const Times& own : times) rate += best_rate({&own, 1}, dot_window);
  return dots.macs * static_cast<double>(turns) * rate / 1e9;
}

}  // namespace

Arithmetic arithmetic_of(const nibble::Format& format) noexcept {
  if (format.codes.group != 0) return Arithmetic::int8;
  return format.dtype == nibble::Dtype::BF16 ? Arithmetic::bf16 : Arithmetic::fp32;
}

std::string_view to_string(Arithmetic type) noexcept {
  constexpr std::string_view names[] = {"int8", "bf16", "fp32"};
  return names[static_cast<std::size_t>(type)];
}

const Peak* Limits::find(std::string_view tier, Arithmetic type, bool plain) const noexcept {
  tier = tier.substr(0, tier.find('_'));
  const Peak* best = nullptr;
  for (const Peak& peak : peaks) {
    if (peak.tier != tier || peak.type != type) continue;
    if (!peak.feature.empty()) {
      if (!plain) return &peak;
    } else if (best == nullptr || peak.gmacs > best->gmacs) {
      best = &peak;
    }
  }
  return best;
}

void Limits::merge(const Limits& other) noexcept {
  read_gbps = std::max(read_gbps, other.read_gbps);
  for (std::size_t i = 0; i < peaks.size(); ++i)
    peaks[i].gmacs = std::max(peaks[i].gmacs, other.peaks[i].gmacs);
}

Limits measure_limits(std::uint32_t threads) {
  Limits limits{threads, measure_reading(threads), {}};
  for (const DotLoop& dots : dot_loops()) {
    limits.peaks.push_back(
        {dots.tier, dots.type, dots.instruction, dots.feature, measure_dots(dots, threads)});
  }
  return limits;
}

}  // namespace probe
