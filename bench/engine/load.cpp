// Opening a model, and making an engine of it: the demo model, its file in the page cache.
// What stands between a program's start and its first token.
#include <benchmark/benchmark.h>

#include "bench/rates.hpp"
#include "nibble/engine.hpp"

namespace bench {

namespace {

constexpr const char* file = NIBBLE_MODELS "/demo.gguf";

std::size_t file_bytes(const nibble::Model& model) {
  return model.checkpoint().files.front()->bytes().size();
}

void open_model(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(nibble::Model::open(file));
  count_bytes(state, file_bytes(nibble::Model::open(file)));
}

void make_engine(benchmark::State& state) {
  const auto model = nibble::Model::open(file);
  for (auto _ : state) benchmark::DoNotOptimize(nibble::Engine(model, {.threads = 1}));
  count_bytes(state, file_bytes(model));
}

BENCHMARK(open_model)->Unit(benchmark::kMillisecond);
BENCHMARK(make_engine)->Unit(benchmark::kMillisecond);

}  // namespace

}  // namespace bench
