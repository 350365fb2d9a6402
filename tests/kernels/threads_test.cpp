// The thread pool: every part once, on any number of threads; stopping; waking from sleep.
#include <algorithm>
#include <atomic>
#include <thread>

#include "kernels/cpu/threads.hpp"
#include "nibble/core/error.hpp"
#include "support/catch.hpp"

using namespace nibble;
using cpu::ThreadPool;

TEST_CASE("every part is done exactly once, by a thread of the pool", "[threads]") {
  const std::uint32_t threads = GENERATE(1u, 2u, 3u, 8u, 33u);
  ThreadPool pool(threads);
  REQUIRE(pool.size() == threads);
  for (std::size_t parts : {0, 1, 2, 3, 7, 100, 1000}) {
    std::vector<std::atomic<int>> done(parts);
    std::atomic<bool> known = true;
    pool.for_each(parts, {}, [&](std::size_t part, std::uint32_t thread) {
      ++done[part];
      if (thread >= threads) known = false;
    });
    REQUIRE(known);
    for (const auto& count : done) REQUIRE(count == 1);
  }
}

TEST_CASE("a thread walks its own share in order, then those of others from their ends", "[threads]") {
  const std::size_t threads = GENERATE(1u, 2u, 3u, 7u), parts = 60;
  ThreadPool pool(static_cast<std::uint32_t>(threads));
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<std::size_t>> taken(threads);
    for (auto& t : taken) t.reserve(parts);
    pool.for_each(parts, {}, [&](std::size_t part, std::uint32_t thread) { taken[thread].push_back(part); });
    for (std::size_t thread = 0; thread < threads; ++thread) {
      for (std::size_t share = 0; share < threads; ++share) {
        std::vector<std::size_t> of_share;
        for (std::size_t part : taken[thread]) {
          if (part >= parts * share / threads && part < parts * (share + 1) / threads)
            of_share.push_back(part);
        }
        if (share != thread) std::reverse(of_share.begin(), of_share.end());
        REQUIRE(std::is_sorted(of_share.begin(), of_share.end()));
      }
    }
  }
}

TEST_CASE("what the parts of one job wrote is there for the next", "[threads]") {
  ThreadPool pool(4);
  std::vector<std::uint64_t> values(64, 0);
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    pool.for_each(values.size(), {}, [&](std::size_t part, std::uint32_t) { values[part] += 1; });
  }
  for (std::uint64_t value : values) REQUIRE(value == 20'000);
}

TEST_CASE("no part begins after a stop but those that threads had taken", "[threads]") {
  const std::uint32_t threads = GENERATE(1u, 2u, 5u);
  ThreadPool pool(threads);
  for (std::size_t stop_at : {0, 1, 10, 500}) {
    std::stop_source source;
    std::atomic<std::size_t> begun = 0, begun_at_stop = 0;
    pool.for_each(1'000, source.get_token(), [&](std::size_t part, std::uint32_t) {
      ++begun;
      if (part == stop_at) {
        source.request_stop();
        begun_at_stop = begun.load();
      }
    });
    REQUIRE(begun - begun_at_stop <= threads);
    std::size_t more = 0;
    pool.for_each(1'000, source.get_token(), [&](std::size_t, std::uint32_t) { ++more; });
    REQUIRE(more == 0);
  }
}

TEST_CASE("sleeping workers join long jobs, and pools come and go", "[threads]") {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(3);
    std::atomic<std::uint32_t> inside = 0;
    // Three parts that wait for each other end only where three threads take one each.
    pool.for_each(3, {}, [&](std::size_t, std::uint32_t) {
      ++inside;
      while (inside < 3) std::this_thread::yield();
    });
    REQUIRE(inside == 3);
  }
}

TEST_CASE("several pools run at once", "[threads]") {
  std::vector<std::thread> hosts;
  std::atomic<std::uint64_t> sum = 0;
  for (int h = 0; h < 4; ++h) {
    hosts.emplace_back([&] {
      ThreadPool pool(3);
      for (int i = 0; i < 200; ++i)
        pool.for_each(10, {}, [&](std::size_t part, std::uint32_t) { sum += part; });
    });
  }
  for (std::thread& host : hosts) host.join();
  REQUIRE(sum == 4 * 200 * 45);
}

TEST_CASE("the process may use at least one CPU, and no more than there are", "[threads]") {
  REQUIRE(cpu::available_cpus() >= 1);
  REQUIRE(cpu::available_cpus() <= std::max(1u, std::thread::hardware_concurrency()));
}
