// One sequence's logits are the same bits for any number of threads, chunking, neighbours and cached prefix,
// on every CPU tier. NIBBLE_TRIALS=100000 in the environment makes the same test a long one.
#include <cstdlib>
#include <random>

#include "kernels/cpu/dispatch.hpp"
#include "nibble/engine.hpp"
#include "src/checksum.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;
using Hashes = std::vector<std::uint64_t>;  // of the logits at each position

constexpr std::array threads{1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u};
constexpr std::array batches{1u, 7u, 32u, 64u, 512u};
constexpr std::size_t neighbours_at_most = 3;

// Sanitizers make a trial many times as long. They get every seventeenth engine: all threads, batches and
// subjects, but not all combinations of them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t engine_stride = 17, trials_of_a_tier = 140;
#else
constexpr std::size_t engine_stride = 1, trials_of_a_tier = 2400;
#endif

std::size_t wanted_trials() {
  const char* given = std::getenv("NIBBLE_TRIALS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : trials_of_a_tier;
}

std::uint64_t hash(std::span<const float> logits) {
  Checksum sum;
  sum.add(std::as_bytes(logits));
  return sum.value();
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  Ids tokens(std::size_t n) {
    Ids ids(n);
    for (TokenId& id : ids) id = static_cast<TokenId>(3 + below(300));
    return ids;
  }

 private:
  std::mt19937_64 engine_;
};

// A model, a cache type and a text, with the hashes they give to one thread alone in one chunk.
struct Subject {
  const char* name;
  Model model;
  KvType kv;
  Ids tokens;
  std::size_t past;  // so many of them, a trial finds evaluated
  Hashes expected;
};

Hashes evaluate(const Engine& engine, Sequence& sequence, std::span<const TokenId> tokens) {
  const StepInput input{&sequence, tokens, Outputs::all};
  Hashes hashes;
  engine.step({&input, 1}, [&](std::size_t, std::size_t, std::span<const float> logits) {
    hashes.push_back(hash(logits));
  });
  return hashes;
}

void extend(const Engine& engine, Sequence& sequence, std::span<const TokenId> tokens) {
  const StepInput input{&sequence, tokens, Outputs::none};
  engine.step({&input, 1});
}

struct Shape {
  const char* name;
  TinyModel model;
  std::size_t tokens, past;
};

// Every format among the matrices, one and several query heads a KV head, windows; and more positions than
// one span of attention has.
std::vector<Shape> shapes() {
  TinyModel mixed = TinyModel::blocks(Dtype::F32);
  mixed.mixed = true;
  TinyModel other = mixed;
  other.kv_heads = 1, other.layers = 1, other.window = 70, other.seed = 2;
  return {
      {"f32, window", {.window = 50}, 100, 0},
      {"mixed", mixed, 100, 0},
      {"mixed, window", other, 100, 0},
      {"f32, long", {.layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 32, .context = 2048}, 1060, 1000}};
}

std::vector<Subject> subjects(const EngineOptions& common) {
  std::vector<Subject> list;
  for (const Shape& shape : shapes()) {
    const Model model = open_tiny_model(shape.model);
    for (const KvType kv : {KvType::F32, KvType::F16, KvType::BF16, KvType::Q8_0}) {
      if (kv == KvType::Q8_0 && shape.model.head_dim % 32 != 0) continue;
      EngineOptions options = common;
      options.threads = 1, options.context = options.batch = 2048, options.kv = kv;
      const Engine engine(model, options);
      Sequence sequence = engine.make_sequence();
      Ids tokens = Random(list.size()).tokens(shape.tokens);
      Hashes expected = evaluate(engine, sequence, tokens);
      list.push_back({shape.name, model, kv, std::move(tokens), shape.past, std::move(expected)});
    }
  }
  return list;
}

EngineOptions options_for(const Subject& subject, EngineOptions options) {
  options.context = static_cast<std::uint32_t>(subject.tokens.size() + 200);
  options.sequences = neighbours_at_most + 3;
  options.kv = subject.kv;
  return options;
}

// Runs the subject's text from `past` on, cut at random places, among neighbours; `forked`: after a prefix
// from a sequence that goes on differently. True where every position has its expected bits.
bool trial(const Engine& engine, const Sequence& past, const Subject& subject, std::size_t n_neighbours,
           bool forked, Random& random) {
  std::vector<Sequence> neighbours;
  for (std::size_t i = 0; i < n_neighbours; ++i) neighbours.push_back(engine.make_sequence());
  Sequence sequence = engine.fork(past);
  std::size_t done = subject.past;
  if (forked) {
    const std::size_t more = random.below(subject.tokens.size() - done);
    extend(engine, sequence, std::span(subject.tokens).subspan(done, more));
    Sequence fork = engine.fork(sequence);
    std::swap(fork, sequence);
    extend(engine, fork, random.tokens(random.below(70)));
    done += more;
  }
  while (done < subject.tokens.size()) {
    const std::size_t left = subject.tokens.size() - done;
    const std::size_t n = std::min(left, 1 + random.below(random.below(2) == 0 ? 8 : left));
    std::size_t total = n;
    std::vector<Ids> texts;
    std::vector<StepInput> inputs;
    for (const Sequence& neighbour : neighbours) {
      texts.push_back(random.tokens(
          std::min<std::size_t>(random.below(random.below(4) == 0 ? 20 : 3), 150 - neighbour.length())));
      total += texts.back().size();
    }
    for (std::size_t i = 0; i < n_neighbours; ++i)
      inputs.push_back({&neighbours[i], texts[i], Outputs::last});
    // Guesses after it, that turn out wrong, where they have room in one batch.
    const std::uint32_t draft =
        total + 3 <= engine.options().batch ? static_cast<std::uint32_t>(random.below(4)) : 0;
    Ids next(subject.tokens.begin() + static_cast<std::ptrdiff_t>(done),
             subject.tokens.begin() + static_cast<std::ptrdiff_t>(done + n));
    for (const TokenId token : random.tokens(draft)) next.push_back(token);
    const std::size_t place = random.below(inputs.size() + 1);
    inputs.insert(inputs.begin() + static_cast<std::ptrdiff_t>(place),
                  {&sequence, next, Outputs::all, draft});
    bool equal = true;
    engine.step(inputs, [&](std::size_t input, std::size_t token, std::span<const float> logits) {
      if (input == place && token < n) equal = equal && hash(logits) == subject.expected[done + token];
    });
    if (!equal) return false;
    done += n;
  }
  return true;
}

}  // namespace

TEST_CASE("cpu: on every tier a sequence's logits are the same bits in every circumstance") {
  for (const cpu::Tier& tier : cpu::tiers()) {
    // Of two by one name, the one that the name stands for here.
    if (!cpu::runs_here(tier) || &cpu::find_tier(tier.table->tier) != tier.table) continue;
    DYNAMIC_SECTION(tier.table->tier) {
      const std::string isa(tier.table->tier);
      const std::vector<Subject> list = subjects({.isa = isa});
      Random random(1);
      std::size_t equal = 0;
      for (std::size_t i = 0; equal < wanted_trials(); i += engine_stride) {
        const Subject& subject = list[i % list.size()];
        const std::size_t rest = i / list.size();
        const EngineOptions options =
            options_for(subject, {.isa = isa,
                                  .threads = threads[rest % threads.size()],
                                  .batch = batches[rest / threads.size() % batches.size()]});
        const Engine engine(subject.model, options);
        REQUIRE(engine.plan().backend == "cpu/" + isa);
        Sequence past = engine.make_sequence();
        extend(engine, past, std::span(subject.tokens).first(subject.past));
        for (std::size_t neighbours = 0; neighbours <= neighbours_at_most; ++neighbours, ++equal) {
          CAPTURE(i, subject.name, to_string(subject.kv), options.threads, options.batch, neighbours);
          REQUIRE(trial(engine, past, subject, neighbours, random.below(2) == 0, random));
        }
      }
      WARN(isa << ": " << equal << " trials");
      CHECK(equal >= wanted_trials());
    }
  }
}

TEST_CASE("reference: a sequence's logits are the same bits in every circumstance") {
  Random random(2);
  for (const Subject& subject : subjects({.backend = "reference"})) {
    const std::uint32_t batch = batches[1 + random.below(batches.size() - 1)];
    CAPTURE(subject.name, to_string(subject.kv), batch);
    const Engine engine(subject.model, options_for(subject, {.backend = "reference", .batch = batch}));
    Sequence past = engine.make_sequence();
    extend(engine, past, std::span(subject.tokens).first(subject.past));
    REQUIRE(trial(engine, past, subject, 1, random.below(2) == 0, random));
  }
}

TEST_CASE("the hashes tell a changed token, model and cache type apart") {
  std::vector<Subject> list = subjects({});
  Subject& subject = list.front();
  const Engine engine(subject.model, {.threads = 1, .kv = subject.kv});
  Sequence sequence = engine.make_sequence();
  subject.tokens[70] ^= 1;
  const Hashes changed = evaluate(engine, sequence, subject.tokens);
  for (std::size_t i = 0; i < changed.size(); ++i) CHECK((changed[i] == subject.expected[i]) == (i < 70));
  for (std::size_t i = 1; i < list.size(); ++i) CHECK(list[i].expected.back() != list[i - 1].expected.back());
}
