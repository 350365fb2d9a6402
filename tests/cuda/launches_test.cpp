// What a decode pass launches: few kernels, recorded when a shape comes again, and then repeated as one.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/emulated.hpp"
#include "kernels/cuda/recorded_passes.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::cuda;

namespace {

// A small model that decodes one sequence, and what its runtime is asked for.
struct Decoder {
  explicit Decoder(std::uint64_t spare_bytes)
      : counts{.budget = memory().total() + spare_bytes},
        backend(make_emulated_runtime(&counts), options()),
        cache(plan.kv, options().kv_pages),
        sequence(cache.make_sequence()) {
    backend.prepare(plan, model.weights(), {});
  }

  BackendOptions options() const {
    return {.max_tokens = 8,
            .max_outputs = 1,
            .kv_pages = static_cast<std::uint32_t>(kv_pages_needed(plan.kv, 64, 8))};
  }
  MemoryUse memory() const {
    return CudaBackend(make_emulated_runtime(), options()).plan_memory(plan, model.weights());
  }

  std::vector<float> step() {
    std::vector<float> logits(plan.vocab_size);
    const std::int32_t token[] = {5};
    const std::uint32_t position[] = {sequence.length}, zero[] = {0};
    const BatchSequence sequences[] = {{&sequence}};
    cache.reserve(sequence, 1);
    backend.run({token, position, zero, zero, sequences}, logits, {});
    cache.commit(sequence, 1);
    return logits;
  }

  Model model = Model::open(NIBBLE_SOURCE_DIR "/tests/parity/fixtures/llama-f16/model.gguf");
  Plan plan = model.plan(64);
  Emulated counts;
  CudaBackend backend;
  KvCache cache;
  KvSequence sequence;
};

}  // namespace

TEST_CASE("cuda: launches of a decode pass, and of its repetition") {
  Decoder decoder(1 << 20);
  const std::uint32_t layers = 2, of_a_layer = 9, others = 5;
  for (std::uint32_t i = 0; i < 4; ++i) {
    decoder.step();
    CHECK(decoder.counts.launches == (i + 1) * (layers * of_a_layer + others));
    CHECK(decoder.counts.recordings == (i == 0 ? 0 : 1));
    CHECK(decoder.counts.replays == i);
  }
}

TEST_CASE("cuda: a pass that there is no memory to record is launched") {
  Decoder tight(0), roomy(1 << 20);
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(tight.step() == roomy.step());
  CHECK(tight.counts.recordings == 0);
  CHECK(roomy.counts.recordings == 1);
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
