// Drafted tokens: a step's last tokens that join their sequence later, in part, or not at all.
#include <random>

#include "nibble/engine.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

Ids random_tokens(std::mt19937& random, std::size_t n) {
  Ids ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(3 + random() % 300);
  return ids;
}

std::vector<float> step(const Engine& engine, Sequence& sequence, std::span<const TokenId> tokens,
                        std::uint32_t draft = 0) {
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::all, .draft = draft};
  return engine.step({&input, 1});
}

}  // namespace

TEST_CASE("a sequence goes on from any part of a draft, within its planned pages") {
  for (const std::uint32_t window : {0u, 5u, 70u}) {
    const Model model = open_tiny_model({.window = window});
    const std::size_t vocab = model.plan().vocab_size;
    for (const std::uint32_t batch : {8u, 100u}) {
      const Engine engine(model, {.threads = 1, .context = 400, .sequences = 2, .batch = batch});
      std::mt19937 random(window + batch);
      const Ids text = random_tokens(random, 400);
      std::vector<float> expected;
      {
        Sequence plain = engine.make_sequence();
        expected = step(engine, plain, text);
      }
      Sequence sequence = engine.make_sequence();
      while (sequence.length() < 400) {
        // Some right tokens, then a guess that is right up to a point.
        const std::uint32_t before = sequence.length(), n = 1 + random() % std::min(batch, 400 - before),
                            draft = random() % (n + 1), right = draft == 0 ? 0 : random() % (draft + 1);
        Ids tokens(text.begin() + before, text.begin() + before + n);
        const Ids wrong = random_tokens(random, draft - right);
        std::copy(wrong.begin(), wrong.end(), tokens.end() - (draft - right));
        const std::vector<float> rows = step(engine, sequence, tokens, draft);
        REQUIRE(std::ranges::equal(std::span(rows).first((n - draft + right) * vocab),
                                   std::span(expected).subspan(before * vocab, (n - draft + right) * vocab)));
        REQUIRE(sequence.length() == before + n - draft);
        REQUIRE(sequence.drafted() == draft);
        if (random() % 4 == 0) {
          // A fork has the past but not the draft, and writes beside it.
          Sequence fork = engine.fork(sequence);
          REQUIRE(fork.drafted() == 0);
          if (fork.length() < 400) step(engine, fork, random_tokens(random, 1));
        }
        sequence.accept(right / 2);
        sequence.accept(right - right / 2);
        REQUIRE(sequence.length() == before + n - draft + right);
      }
    }
  }
}

TEST_CASE("a draft is forgotten by whatever else changes its sequence") {
  const Engine engine(open_tiny_model(), {.threads = 1, .sequences = 2});
  std::mt19937 random(1);
  Sequence sequence = engine.make_sequence();
  const Ids text = random_tokens(random, 10);
  const auto draft = [&] {
    engine.rewind(sequence, 0);
    step(engine, sequence, text, 4);
    CHECK(sequence.drafted() == 4);
  };
  draft();
  const auto saved = engine.save(sequence, std::span(text).first(6));
  CHECK(sequence.drafted() == 4);
  step(engine, sequence, random_tokens(random, 1));
  CHECK(sequence.drafted() == 0);
  CHECK(sequence.length() == 7);
  draft();
  engine.rewind(sequence, 6);
  CHECK(sequence.drafted() == 0);
  draft();
  engine.restore(saved, sequence);
  CHECK(sequence.drafted() == 0);
  CHECK(sequence.length() == 6);
}

TEST_CASE("drafts are refused where they cannot be gone back on") {
  const Engine engine(open_tiny_model(), {.threads = 1, .sequences = 2, .batch = 16});
  std::mt19937 random(1);
  Sequence sequence = engine.make_sequence(), other = engine.make_sequence();
  const Ids text = random_tokens(random, 17);
  CHECK(engine.plan().outputs == 16);
  step(engine, sequence, std::span(text).first(16), 16);
  CHECK(sequence.length() == 0);
  CHECK(sequence.drafted() == 16);

  const auto refused = [&](std::vector<StepInput> inputs) {
    const Error e = thrown([&] { engine.step(inputs); });
    CHECK(e.field() == "draft");
    CHECK(sequence.drafted() == 16);
    return e.code();
  };
  const std::span all(text);
  CHECK(refused({{&sequence, all.first(3), Outputs::all, 4}}) == ErrorCode::invalid_argument);
  CHECK(refused({{&sequence, all, Outputs::all, 1}}) == ErrorCode::limit);
  CHECK(refused({{&sequence, all.first(9), Outputs::all, 1}, {&other, all.first(8), Outputs::none}}) ==
        ErrorCode::limit);
  const Error e = thrown([&] { sequence.accept(17); });
  CHECK(e.code() == ErrorCode::out_of_range);
  CHECK(e.field() == "accept");
  sequence.accept(16);
  CHECK(sequence.length() == 16);
}
