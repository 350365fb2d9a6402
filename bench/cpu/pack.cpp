// Packing of weights for every tier's kernels, on one thread, in bytes of the file.
// What loading a model takes most of its time for.
#include <benchmark/benchmark.h>

#include "bench/cpu/weights.hpp"
#include "bench/rates.hpp"
#include "nibble/core/aligned_bytes.hpp"

namespace bench {

namespace {

void add(const cpu::Tier& tier, const cpu::MatmulKernel& kernel, const nibble::Format& format,
         const MatrixShape& shape) {
  if (kernel.pack == nullptr) return;
  const std::string name = "pack/" + describe(tier) + '/' + describe(format, shape);
  benchmark::RegisterBenchmark(name.c_str(), [&kernel, &format, shape](benchmark::State& state) {
    const std::vector<std::byte> file = make_file_bytes(format, shape);
    const nibble::AlignedBytes packed(kernel.packed_bytes(format, shape.rows, shape.cols));
    for (auto _ : state)
      kernel.pack({{&format, shape.rows, shape.cols, file.data()}, 0, shape.rows, packed.data()});
    count_bytes(state, file.size());
  });
}

[[maybe_unused]] const bool added = (for_each_kernel(add), true);

}  // namespace

}  // namespace bench
