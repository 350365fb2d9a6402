// One sequence's logits are the same bits for any number of threads, chunking, neighbours and cached prefix.
// NIBBLE_TRIALS=100000 in the environment makes the same test a long one.
#include <cstdlib>
#include <map>
#include <random>

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

std::uint64_t hash(std::span<const float> logits) {
  Checksum sum;
  sum.add(std::as_bytes(logits));
  return sum.value();
}

int trials() {
  const char* given = std::getenv("NIBBLE_TRIALS");
  return given != nullptr ? std::atoi(given) : 600;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  template <class List>
  auto pick(const List& list) {
    return list[below(std::size(list))];
  }
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

std::vector<Subject> subjects(const char* backend) {
  constexpr Dtype q4_0{2}, q8_0{8}, q6_k{14};
  TinyModel windowed{.window = 50}, windowed_blocks = TinyModel::blocks(q4_0);
  windowed_blocks.window = 70;
  const std::vector<std::pair<const char*, TinyModel>> models{{"f32", {}},
                                                              {"f32, window", windowed},
                                                              {"q4_0, window", windowed_blocks},
                                                              {"f16", TinyModel::blocks(Dtype::F16)},
                                                              {"q8_0", TinyModel::blocks(q8_0)},
                                                              {"q6_k", TinyModel::blocks(q6_k)}};
  std::vector<Subject> list;
  for (const auto& [name, shape] : models) {
    const Model model = open_tiny_model(shape);
    for (const KvType kv : {KvType::F32, KvType::F16, KvType::BF16, KvType::Q8_0}) {
      if (kv == KvType::Q8_0 && shape.head_dim % 32 != 0) continue;
      const Engine engine(model, {.backend = backend, .threads = 1, .kv = kv});
      Sequence sequence = engine.make_sequence();
      Ids tokens = Random(list.size()).tokens(140);
      Hashes expected = evaluate(engine, sequence, tokens);
      list.push_back({name, model, kv, std::move(tokens), std::move(expected)});
    }
  }
  return list;
}

// Runs the subject's text cut at random places, among neighbours, from a fork of its own prefix or from
// nothing; true where every position has its expected bits.
bool trial(const Subject& subject, const EngineOptions& options, std::size_t n_neighbours, Random& random) {
  const Engine engine(subject.model, options);
  std::vector<Sequence> neighbours;
  for (std::size_t i = 0; i < n_neighbours; ++i) neighbours.push_back(engine.make_sequence());
  Sequence sequence = engine.make_sequence();
  std::size_t done = 0;
  if (random.below(2) == 0) {
    // Its cached prefix comes from another sequence, which goes on differently.
    done = random.below(subject.tokens.size());
    const StepInput prefix{&sequence, std::span(subject.tokens).first(done), Outputs::none};
    engine.step({&prefix, 1});
    Sequence fork = engine.fork(sequence);
    std::swap(fork, sequence);
    const Ids other = random.tokens(random.below(70));
    const StepInput diverging{&fork, other, Outputs::none};
    engine.step({&diverging, 1});
  }
  while (done < subject.tokens.size()) {
    const std::size_t n = 1 + random.below(random.below(2) == 0 ? 8 : subject.tokens.size() - done);
    const auto next = std::span(subject.tokens).subspan(done, std::min(n, subject.tokens.size() - done));
    std::vector<Ids> texts;
    for (std::size_t i = 0; i < n_neighbours; ++i)
      texts.push_back(random.tokens(std::min(random.below(20), std::size_t{500} - neighbours[i].length())));
    std::vector<StepInput> inputs;
    for (std::size_t i = 0; i < n_neighbours; ++i)
      inputs.push_back({&neighbours[i], texts[i], Outputs::last});
    const std::size_t place = random.below(inputs.size() + 1);
    inputs.insert(inputs.begin() + static_cast<std::ptrdiff_t>(place), {&sequence, next, Outputs::all});
    bool equal = true;
    engine.step(inputs, [&](std::size_t input, std::size_t token, std::span<const float> logits) {
      if (input == place) equal = equal && hash(logits) == subject.expected[done + token];
    });
    if (!equal) return false;
    done += next.size();
  }
  return true;
}

}  // namespace

TEST_CASE("cpu: a sequence's logits are the same bits in every circumstance") {
  const std::vector<Subject> list = subjects("cpu");
  Random random(1);
  for (int i = 0; i < trials(); ++i) {
    const Subject& subject = list[static_cast<std::size_t>(i) % list.size()];
    const std::size_t neighbours = random.below(4);
    const EngineOptions options{.threads = random.pick(threads),
                                .sequences = static_cast<std::uint32_t>(neighbours + 2),
                                .batch = random.pick(batches),
                                .kv = subject.kv};
    CAPTURE(i, subject.name, to_string(subject.kv), options.threads, options.batch, neighbours);
    REQUIRE(trial(subject, options, neighbours, random));
  }
}

TEST_CASE("reference: a sequence's logits are the same bits in every circumstance") {
  const std::vector<Subject> list = subjects("reference");
  Random random(2);
  for (const Subject& subject : list) {
    const EngineOptions options{
        .backend = "reference", .sequences = 3, .batch = random.pick(batches), .kv = subject.kv};
    CAPTURE(subject.name, to_string(subject.kv), options.batch);
    REQUIRE(trial(subject, options, 1, random));
  }
}

TEST_CASE("the hashes tell a changed token, model and cache type apart") {
  std::vector<Subject> list = subjects("cpu");
  Subject& subject = list.front();
  const Engine engine(subject.model, {.threads = 1, .kv = subject.kv});
  Sequence sequence = engine.make_sequence();
  subject.tokens[70] ^= 1;
  const Hashes changed = evaluate(engine, sequence, subject.tokens);
  for (std::size_t i = 0; i < changed.size(); ++i) CHECK((changed[i] == subject.expected[i]) == (i < 70));
  for (std::size_t i = 1; i < list.size(); ++i) CHECK(list[i].expected.back() != list[i - 1].expected.back());
}
