// A small llama, and one with experts, through the CPU tiers: close to the reference in double, and each
// token's logits the same bits whatever shares its batch, however its prompt is cut, and wherever its pages
// lie.
#include <list>

#include "kernels/backends.hpp"
#include "kernels/cpu/backend.hpp"
#include "nibble/arch/llama.hpp"
#include "nibble/arch/mixtral.hpp"
#include "support/catch.hpp"
#include "tests/kernels/toy_plan.hpp"

using namespace nibble;

namespace {

constexpr std::uint32_t vocab = 50, n_tokens = 200;

Config small_config(std::uint32_t window) {
  Config c;
  c.n_layers = 2;
  c.embed_dim = 64;
  c.n_heads = 6;
  c.n_kv_heads = 2;
  c.head_dim = 32;
  c.ffn_dim = c.expert_ffn_dim = 96;
  c.n_experts = 5;
  c.n_experts_used = 2;
  c.vocab_size = vocab;
  c.window = window;
  c.norm_eps = 1e-5;
  c.rope.dim = 32;
  return c;
}

struct SmallModel {
  explicit SmallModel(const Format& format, std::uint32_t window = 0,
                      const Architecture& architecture = llama::architecture) {
    const Config config = small_config(window);
    const std::vector<TensorRow> table = architecture.tensors(config);
    std::uint32_t seed = 1;
    for (const TensorRow& row : table) {
      if (row.name == "rope_freqs.weight" || row.name == "output.weight") continue;
      for (std::uint32_t layer = 0; layer < (row.name.find("{L}") == row.name.npos ? 1 : config.n_layers);
           ++layer) {
        const Format& kind = row.rows == 0 ? *find_format(Dtype::F32) : format;
        const std::size_t n = file_shape(row).elements();
        const std::vector<float> values = random_floats(n, seed++, row.rows == 0 ? 1.0f : 0.15f);
        std::vector<std::byte> bytes(n / kind.block_size * kind.block_bytes);
        kind.encode(values.data(), bytes.data(), n, nullptr);
        Tensor tensor;
        tensor.name = layer_name(row.name, layer);
        tensor.dtype = kind.dtype;
        tensor.shape = file_shape(row);
        tensor.bytes = storage.emplace_back(std::move(bytes));
        checkpoint.tensors.emplace(tensor.name, tensor);
      }
    }
    weights = Weights::resolve(checkpoint, table, config);
    plan = architecture.plan(config, weights);
    std::mt19937 random(9);
    for (std::uint32_t i = 0; i < n_tokens; ++i)
      tokens.push_back(static_cast<std::int32_t>(random() % vocab));
  }

  std::list<std::vector<std::byte>> storage;
  Checkpoint checkpoint;
  Weights weights;
  Plan plan;
  std::vector<std::int32_t> tokens;
};

// Several sequences over one backend: tokens are appended to each, the rows of all that want logits kept.
class Runner {
 public:
  Runner(Backend& backend, const SmallModel& model, const BackendOptions& options)
      : backend_(backend), model_(model), cache_(model.plan.kv, options.kv_pages) {
    backend.prepare(model.plan, model.weights, {});
  }

  struct Item {
    KvSequence* sequence;
    std::uint32_t n;
    bool all = true;  // every token wants logits; else the last
  };

  KvSequence make() const { return cache_.make_sequence(); }
  KvCache& cache() { return cache_; }

  // Each item's next tokens of the model's text; the logits' rows in order.
  std::vector<float> step(const std::vector<Item>& items) {
    std::vector<std::int32_t> tokens;
    std::vector<std::uint32_t> positions, owner, outputs;
    std::vector<BatchSequence> sequences;
    for (const Item& item : items) {
      backend_.copy_pages(cache_.reserve(*item.sequence, item.n));
      for (std::uint32_t i = 0; i < item.n; ++i) {
        if (item.all || i + 1 == item.n) outputs.push_back(static_cast<std::uint32_t>(tokens.size()));
        positions.push_back(item.sequence->length + i);
        tokens.push_back(model_.tokens[positions.back()]);
        owner.push_back(static_cast<std::uint32_t>(sequences.size()));
      }
      sequences.push_back({item.sequence});
    }
    std::vector<float> logits(outputs.size() * vocab);
    backend_.run({.tokens = tokens,
                  .positions = positions,
                  .sequence = owner,
                  .outputs = outputs,
                  .sequences = sequences},
                 logits, {});
    for (const Item& item : items) cache_.commit(*item.sequence, item.n);
    return logits;
  }

  // The whole text, `chunk` tokens at a time.
  std::vector<float> text(std::uint32_t chunk) {
    KvSequence sequence = make();
    std::vector<float> all;
    while (sequence.length < n_tokens) {
      const auto logits = step({{&sequence, std::min(chunk, n_tokens - sequence.length)}});
      all.insert(all.end(), logits.begin(), logits.end());
    }
    cache_.release(sequence);
    return all;
  }

 private:
  Backend& backend_;
  const SmallModel& model_;
  KvCache cache_;
};

std::vector<float> rows(const std::vector<float>& logits, std::uint32_t begin, std::uint32_t n) {
  const auto at = logits.begin() + static_cast<std::ptrdiff_t>(begin) * vocab;
  return {at, at + static_cast<std::ptrdiff_t>(n) * vocab};
}

}  // namespace

TEST_CASE("a small model equals the reference in double") {
  const std::uint32_t window = GENERATE(0u, 70u);
  const Architecture* architecture = GENERATE(&llama::architecture, &mixtral::architecture);
  const SmallModel model(*find_format(Dtype::F32), window, *architecture);
  BackendOptions options{.threads = 2,
                         .float64 = true,
                         .max_tokens = 256,
                         .max_outputs = 256,
                         .kv_pages = 40,
                         .kv_type = KvType::F32};
  const auto oracle = reference::make_backend(options);
  const std::vector<float> expected = Runner(*oracle, model, options).text(n_tokens);
  options.float64 = false;
  const auto plain = reference::make_backend(options);
  CHECK(nmse(Runner(*plain, model, options).text(13), expected) <= 1e-11);
  cpu::CpuBackend portable(*cpu::tiers().back().table, options);
  CHECK(nmse(Runner(portable, model, options).text(13), expected) <= 1e-11);
}

TEST_CASE("logits are the same bits for any chunking, thread count and company", "[threads]") {
#ifdef NIBBLE_EMULATED  // a hundred times slower
  const char* format = "Q4_0";
  const std::uint32_t window = 70;
  const Architecture* architecture = GENERATE(&llama::architecture, &mixtral::architecture);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // ten times slower
  const auto [format, window, architecture] =
      GENERATE(table<const char*, std::uint32_t, const Architecture*>({{"F16", 0, &llama::architecture},
                                                                       {"Q4_0", 70, &mixtral::architecture},
                                                                       {"Q8_0", 70, &llama::architecture}}));
#else
  const auto [format, window, architecture] = GENERATE(
      table<const char*, std::uint32_t, const Architecture*>({{"F16", 0, &llama::architecture},
                                                              {"F16", 70, &llama::architecture},
                                                              {"Q4_0", 0, &llama::architecture},
                                                              {"Q4_0", 70, &llama::architecture},
                                                              {"Q8_0", 0, &llama::architecture},
                                                              {"Q8_0", 70, &llama::architecture},
                                                              {"F16", 0, &mixtral::architecture},
                                                              {"Q4_0", 70, &mixtral::architecture}}));
#endif
  const SmallModel model(*find_format(format), window, *architecture);
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    BackendOptions options{.threads = 1, .max_tokens = 256, .max_outputs = 256, .kv_pages = 80};
    cpu::CpuBackend alone(*tier.table, options);
    const std::vector<float> expected = Runner(alone, model, options).text(n_tokens);

    for (std::uint32_t threads : {1, 2, 3, 8}) {
      options.threads = threads;
      cpu::CpuBackend backend(*tier.table, options);
      Runner runner(backend, model, options);
      for (std::uint32_t chunk : {1, 7, 32, 64, 65}) {
        INFO("threads " << threads << ", chunk " << chunk);
        REQUIRE(same_bits(runner.text(chunk), expected));
      }

      // Pages full of NaN, and sequences at other positions in the same batches.
      const std::vector<std::byte> garbage(kv_page_bytes(model.plan.kv, options.kv_type), std::byte{0xff});
      for (PageId page = 0; page < options.kv_pages; ++page) backend.write_page(page, garbage);
      KvSequence a = runner.make(), b = runner.make(), c = runner.make();
      REQUIRE(same_bits(runner.step({{&a, 90}, {&b, 3, false}}), [&] {
        std::vector<float> both = rows(expected, 0, 90);
        const std::vector<float> last = rows(expected, 2, 1);
        both.insert(both.end(), last.begin(), last.end());
        return both;
      }()));
      for (std::uint32_t i = 0; i < 100; ++i) {
        const std::vector<float> logits = runner.step({{&c, 1}, {&a, 1}, {&b, 1}});
        REQUIRE(same_bits(rows(logits, 0, 1), rows(expected, i, 1)));
        REQUIRE(same_bits(rows(logits, 1, 1), rows(expected, 90 + i, 1)));
        REQUIRE(same_bits(rows(logits, 2, 1), rows(expected, 3 + i, 1)));
      }

      // A fork goes on as its origin would have, and does not disturb it; a rewound sequence says it again.
      KvSequence fork = runner.cache().fork(b);
      REQUIRE(same_bits(runner.step({{&fork, 20}}), rows(expected, 103, 20)));
      REQUIRE(same_bits(runner.step({{&b, 5}}), rows(expected, 103, 5)));
      REQUIRE(runner.cache().rewind(fork, 110));
      REQUIRE(same_bits(runner.step({{&fork, 30}}), rows(expected, 110, 30)));
    }
  }
}

TEST_CASE("threads meet six times in a layer with experts") {
  const SmallModel model(*find_format(Dtype::F32), 0, mixtral::architecture);
  const cpu::Kernels kernels(*cpu::tiers().back().table);
  const cpu::Layout layout = cpu::lay_out(model.plan, model.weights, kernels, {}, 1);
  std::size_t meetings = 0;
  for (const cpu::Phase& phase : layout.phases) meetings += phase.last > phase.shared;
  CHECK(meetings == 6 * 2 + 1);  // q k v, attend, output; router, gate and up, down
}

TEST_CASE("a batch that wants no logits fills the cache all the same") {
  const SmallModel model(*find_format(Dtype::F32));
  const BackendOptions options{.threads = 2, .kv_pages = 20};
  cpu::CpuBackend backend(*cpu::tiers().back().table, options);
  Runner runner(backend, model, options);
  const std::vector<float> expected = runner.text(n_tokens);
  KvSequence sequence = runner.make();
  runner.cache().reserve(sequence, 60);
  std::vector<std::uint32_t> positions(60), owner(60, 0);
  for (std::uint32_t i = 0; i < 60; ++i) positions[i] = i;
  const BatchSequence sequences[] = {{&sequence}};
  backend.run({.tokens = std::span(model.tokens).first(60),
               .positions = positions,
               .sequence = owner,
               .outputs = {},
               .sequences = sequences},
              {}, {});
  runner.cache().commit(sequence, 60);
  CHECK(same_bits(runner.step({{&sequence, 4}}), rows(expected, 60, 4)));
}

TEST_CASE("threads meet five times a layer, and phases hold every step once, in order") {
  const SmallModel model(*find_format(Dtype::F32));
  const std::vector<Step>& steps = model.plan.steps;
  const cpu::Kernels kernels(*cpu::tiers().back().table);
  const std::vector<cpu::Phase> phases = cpu::lay_out(model.plan, model.weights, kernels, {}, 1).phases;
  std::size_t next = 0, meetings = 0;
  for (const cpu::Phase& phase : phases) {
    REQUIRE(phase.first == next);
    for (; next < phase.shared; ++next) {
      CHECK((steps[next].op != Op::matmul && steps[next].op != Op::attend));
      CHECK(model.plan.buffers[steps[next].out.buffer].rows == phase.rows);
    }
    meetings += phase.last > phase.shared;
    for (; next < phase.last; ++next) CHECK(steps[next].a == steps[phase.shared].a);
  }
  CHECK(next == steps.size());
  CHECK(meetings == 5 * 2 + 1);  // and the output matrix
}
