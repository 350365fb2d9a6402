// Text to tokens and back, with the demo model's vocabulary and the texts it is tested on.
// What stands between a prompt and its prefill.
#include <benchmark/benchmark.h>

#include <fstream>
#include <sstream>

#include "bench/rates.hpp"
#include "nibble/file/checkpoint.hpp"
#include "nibble/text/tokenizer.hpp"

namespace bench {

namespace {

constexpr const char* model = NIBBLE_MODELS "/demo.gguf";
constexpr const char* texts = NIBBLE_MODELS "/heldout.jsonl";

std::string read_text() {
  std::stringstream text;
  text << std::ifstream(texts).rdbuf();
  return text.str();
}

void encode(benchmark::State& state) {
  const auto tokenizer = nibble::Tokenizer::load(nibble::Checkpoint::open(model));
  const std::string text = read_text();
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text));
  count_bytes(state, text.size());
}

void decode(benchmark::State& state) {
  const auto tokenizer = nibble::Tokenizer::load(nibble::Checkpoint::open(model));
  const std::string text = read_text();
  const std::vector<nibble::TokenId> tokens = tokenizer.encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(tokens));
  count_bytes(state, text.size());
}

BENCHMARK(encode);
BENCHMARK(decode);

}  // namespace

}  // namespace bench
