// One test of `nibble bench`, and what it cannot do without: bytes to be read, multiplications, and the least
// time these take on a machine of given limits.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "bench/probe/limits.hpp"
#include "nibble/engine.hpp"

namespace cli {

// Either a prompt or a generation, behind `n_depth` positions already cached.
struct BenchTest {
  std::uint32_t n_prompt = 0;
  std::uint32_t n_gen = 0;
  std::uint32_t n_depth = 0;
  std::uint32_t n_seqs = 1;  // generated together

  std::string name() const;  // "tg64 b8 @ d4096"
  std::uint64_t tokens() const noexcept { return n_prompt + std::uint64_t{n_gen} * n_seqs; }  // of one run
  std::uint32_t positions() const noexcept { return n_depth + n_prompt + n_gen; }  // of a sequence in the end
};

// Of one token, on average.
struct Work {
  double bytes = 0;                        // packed weights, and cached keys and values: each once in a batch
  std::array<double, 3> weight_macs = {};  // products with weights, by the probe::Arithmetic they call for
  double attend_macs = 0;                  // products of queries with keys, and of their weights with values

  double macs() const noexcept { return weight_macs[0] + weight_macs[1] + weight_macs[2]; }
};
Work count_work(const nibble::Engine& engine, const BenchTest& test);

// The limits that hold for this work, and the share of time that it would take at them.
struct Roof {
  double gbps = 0;
  double gmacs = 0;         // of products with weights; 0 where nothing is known of the tier
  double attend_gmacs = 0;  // of attention: floats
  std::string instruction;  // that sets gmacs
  double seconds = 0;       // the least for one token: reading and arithmetic side by side
  bool read_bound = true;
};
Roof find_roof(const probe::Limits& limits, std::string_view tier, const Work& work);

}  // namespace cli
