// The limits of one thread, measured once a process, and a benchmark's figures beside them.
// Used by every benchmark of this folder.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include "bench/probe/limits.hpp"
#include "kernels/cpu/dispatch.hpp"

namespace bench {

// As much memory as a benchmark walks through so that no cache holds its weights, keys and values.
inline constexpr std::size_t beyond_caches = std::size_t{1} << 28;

// Measured on the first call.
const probe::Limits& limits();

// "avx2", and where there is another tier of that name what this one needs beside it: "avx2+avx_vnni".
std::string describe(const nibble::cpu::Tier& tier);

// The best peak of a tier for a type, or for fp32 where it has none for that.
double peak_gmacs(const nibble::cpu::Tier& tier, probe::Arithmetic type);

// Counters of a kernel whose iteration reads `bytes` and multiplies `macs` times: GB/s, GMAC/s, and the share
// of the limit, which is the larger of the two utilisations.
void report(benchmark::State& state, double bytes, double macs, double peak_gmacs);

// bytes_per_second of anything else.
void count_bytes(benchmark::State& state, std::size_t bytes);

}  // namespace bench
