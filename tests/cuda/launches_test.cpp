// What a decode pass launches: few kernels, recorded when a shape comes again, and then repeated as one.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/emulated.hpp"
#include "kernels/cuda/recorded_passes.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::cuda;

TEST_CASE("cuda: launches of a decode pass, and of its repetition") {
  const Model model = Model::open(NIBBLE_SOURCE_DIR "/tests/parity/fixtures/llama-f16/model.gguf");
  const Plan plan = model.plan(64);
  BackendOptions options{.max_tokens = 8, .max_outputs = 1};
  options.kv_pages = static_cast<std::uint32_t>(kv_pages_needed(plan.kv, 64, 8));
  EmulatedCounts counts;
  CudaBackend backend(make_emulated_runtime(~0ull, &counts), options);
  backend.prepare(plan, model.weights(), {});
  KvCache cache(plan.kv, options.kv_pages);
  KvSequence sequence = cache.make_sequence();
  std::vector<float> logits(plan.vocab_size);
  const std::uint32_t layers = 2, of_a_layer = 9, others = 5;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::int32_t token[] = {5};
    const std::uint32_t position[] = {i}, zero[] = {0};
    const BatchSequence sequences[] = {{&sequence}};
    cache.reserve(sequence, 1);
    backend.run({token, position, zero, zero, sequences}, logits, {});
    cache.commit(sequence, 1);
    CHECK(counts.launches == (i + 1) * (layers * of_a_layer + others));
    CHECK(counts.recordings == (i == 0 ? 0 : 1));
    CHECK(counts.replays == i);
  }
}

TEST_CASE("cuda: of passes the latest used are kept") {
  RecordedPasses passes;
  bool is_new = false;
  passes.find({.n_tokens = 1, .n_outputs = 1, .spans = 1}, is_new);
  CHECK(is_new);
  for (std::uint32_t n = 2; n < 200; ++n) {
    passes.find({.n_tokens = n, .n_outputs = 1, .spans = 1}, is_new);
    CHECK(is_new);
    passes.find({.n_tokens = 1, .n_outputs = 1, .spans = 1}, is_new);
    CHECK_FALSE(is_new);
  }
  passes.find({.n_tokens = 2, .n_outputs = 1, .spans = 1}, is_new);
  CHECK(is_new);
}
