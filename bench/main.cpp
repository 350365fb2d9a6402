// The main function of every benchmark program: measures the limits, writes them down, runs what is asked
// for. Each program's own files register their benchmarks before it starts.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/rates.hpp"
#include "nibble/version.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("nibble", std::string(nibble::version));
  benchmark::AddCustomContext("limit GB/s", std::to_string(bench::limits().read_gbps));
  for (const probe::Peak& peak : bench::limits().peaks) {
    // "limit GMAC/s avx2 int8 vpdpbusd ymm"
    std::string name = "limit GMAC/s " + std::string(peak.tier) + ' ';
    name += std::string(probe::to_string(peak.type)) + ' ' + std::string(peak.instruction);
    benchmark::AddCustomContext(name, std::to_string(peak.gmacs));
  }
  const std::size_t n_run = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return n_run == 0 ? 1 : 0;
}
