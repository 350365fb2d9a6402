// Runs a test of `nibble bench`: sequences brought to the test's depth, a run to warm up, then timed ones.
// Between the command and Engine::step.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "bench_test.hpp"
#include "nibble/engine.hpp"

namespace cli {

class BenchRun {
 public:
  // The engine needs as many sequences, and as many positions, as the tests do.
  explicit BenchRun(const nibble::Engine& engine) : engine_(engine) {}

  // Tokens a second, of each of `repetitions` runs.
  std::vector<double> measure(const BenchTest& test, std::uint32_t repetitions, const std::stop_token& stop);

 private:
  std::span<nibble::Sequence> sequences_at(std::uint32_t depth, std::uint32_t n, const std::stop_token& stop);
  double run_once(const BenchTest& test, std::uint32_t n_gen, const std::stop_token& stop);

  nibble::Engine engine_;
  std::vector<nibble::Sequence> sequences_;
  std::uint32_t depth_ = 0;
  std::vector<std::byte> past_;  // the first `depth_` positions, saved; each sequence has a copy of its own
};

}  // namespace cli
