// The limits of one thread, measured once a process, and a benchmark's figures beside them.
// Used by every benchmark of this folder.
#pragma once

#include <benchmark/benchmark.h>

#include <string_view>

#include "bench/probe/limits.hpp"

namespace bench {

// As much memory as a benchmark walks through so that no cache holds its weights, keys and values.
inline constexpr std::size_t beyond_caches = std::size_t{1} << 28;

// Measured on the first call.
const probe::Limits& limits();

// The best peak of a tier for a type, or for fp32 where it has none for that.
double peak_gmacs(std::string_view tier, probe::Arithmetic type);

// Counters of a kernel whose iteration reads `bytes` and multiplies `macs` times: GB/s, GMAC/s, and the share
// of the limit, which is the larger of the two utilisations.
void report(benchmark::State& state, double bytes, double macs, double peak_gmacs);

// bytes_per_second of anything else.
void count_bytes(benchmark::State& state, std::size_t bytes);

}  // namespace bench
