// Counters are rates by CPU time: other programs on the machine disturb them little.
// See rates.hpp.
#include "bench/rates.hpp"

#include <algorithm>

namespace bench {

const probe::Limits& limits() {
  static const probe::Limits measured = probe::measure_limits(1);
  return measured;
}

std::string describe(const nibble::cpu::Tier& tier) {
  const std::string name = tier.table->tier;
  std::string_view plain = tier.features;  // of the last tier of this name
  for (const nibble::cpu::Tier& other : nibble::cpu::tiers()) {
    if (other.table->tier == name) plain = other.features;
  }
  if (tier.features.size() <= plain.size()) return name;
  return name + '+' + std::string(tier.features.substr(plain.size() + 1));
}

double peak_gmacs(const nibble::cpu::Tier& tier, probe::Arithmetic type) {
  const bool plain = describe(tier) == tier.table->tier;
  for (const probe::Arithmetic each : {type, probe::Arithmetic::fp32}) {
    const probe::Peak* const peak = limits().find(tier.table->tier, each, plain);
    if (peak != nullptr) return peak->gmacs;
  }
  return 0;
}

void report(benchmark::State& state, double bytes, double macs, double peak_gmacs) {
  const auto n = static_cast<double>(state.iterations());
  const auto rate = [&](double value) { return benchmark::Counter(value * n, benchmark::Counter::kIsRate); };
  const double computing = peak_gmacs > 0 ? macs / peak_gmacs : 0;  // 0: nothing is known of the tier
  state.counters["GB/s"] = rate(bytes / 1e9);
  state.counters["GMAC/s"] = rate(macs / 1e9);
  state.counters["%limit"] = rate(100 * std::max(bytes / limits().read_gbps, computing) / 1e9);
}

void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

}  // namespace bench
