// Engine: batches of several sequences, chunks, forks, rewinds, windows, limits. What counts is bits.
#include "nibble/engine.hpp"

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "nibble/sample/sampler.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

Ids random_tokens(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  Ids ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(3 + random() % 300);
  return ids;
}

std::vector<float> step(const Engine& engine, Sequence& sequence, std::span<const TokenId> tokens,
                        Outputs outputs = Outputs::all) {
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = outputs};
  return engine.step({&input, 1});
}

// Logits at every position of a fresh sequence.
std::vector<float> logits_of(const Engine& engine, std::span<const TokenId> tokens) {
  Sequence sequence = engine.make_sequence();
  return step(engine, sequence, tokens);
}

std::span<const float> row(std::span<const float> rows, std::size_t i, std::size_t vocab) {
  return rows.subspan(i * vocab, vocab);
}

bool same(std::span<const float> a, std::span<const float> b) { return std::ranges::equal(a, b); }

}  // namespace

TEST_CASE("options are filled in, and refused by name") {
  const Model model = open_tiny_model({.context = 100});
  const Engine engine(model, {.threads = 1});
  CHECK(engine.options().context == 100);
  CHECK(engine.options().batch == 100);
  CHECK(engine.options().kv == KvType::F32);
  CHECK(engine.options().threads == 1);
  CHECK(engine.plan().backend.starts_with("cpu/"));
  CHECK(Engine(open_tiny_model(TinyModel::blocks(Dtype::F16)), {.threads = 1}).options().kv == KvType::F16);
  CHECK(Engine::plan(open_tiny_model({.context = 9000})).context == 4096);

  const auto refused = [&](const EngineOptions& options) {
    return thrown([&] { Engine::plan(model, options); });
  };
  CHECK(refused({.backend = "gpu9"}).code() == ErrorCode::unsupported);
  const Error no_tier = refused({.isa = "avx9000"});
  CHECK(no_tier.code() == ErrorCode::unsupported);
  CHECK(no_tier.allowed().find("avx2") == no_tier.allowed().rfind("avx2"));  // two tables have this name
  CHECK(refused({.threads = 100'000}).field() == "threads");
  CHECK(refused({.sequences = 0}).code() == ErrorCode::invalid_argument);
  CHECK(refused({.sequences = 5000}).code() == ErrorCode::limit);
  CHECK(refused({.batch = 0}).code() == ErrorCode::invalid_argument);
  CHECK(refused({.batch = 100'000}).code() == ErrorCode::limit);
  CHECK(refused({.context = ~0u}).code() == ErrorCode::limit);
}

TEST_CASE("malformed 39: a context whose keys and values fit no memory is refused before anything is taken") {
  // 4 layers of 2^18 pages for each of 4096 sequences: one more than 32 bits number.
  const Error overflow =
      thrown([] { Engine::plan(open_tiny_model({.layers = 4}), {.context = 1u << 24, .sequences = 4096}); });
  CHECK(overflow.code() == ErrorCode::limit);
  CHECK(overflow.field() == "context");
  const Model model = open_tiny_model();
  const EnginePlan plan = Engine::plan(model, {.sequences = 2});
  CHECK(Engine::plan(model, {.sequences = 2, .memory_budget = plan.memory.total()}).memory.kv ==
        plan.memory.kv);
  const Error e = thrown([&] { Engine(model, {.sequences = 2, .memory_budget = plan.memory.total() - 1}); });
  CHECK(e.code() == ErrorCode::out_of_memory);
  CHECK(e.field() == "memory_budget");
  for (const char* consumer : {"weights", "keys and values of 2 x 512 positions", "activations"})
    CHECK(e.found().find(consumer) != std::string_view::npos);
}

TEST_CASE("the plan is what a longer context, more sequences and a larger type cost") {
  const Model model = open_tiny_model();
  const auto kv = [&](const EngineOptions& o) { return Engine::plan(model, o).memory.kv; };
  // (2, kv_heads, 64, head_dim) floats a page, one page per 64 positions and layer.
  CHECK(kv({.context = 128}) == 2u * 2 * 64 * 16 * sizeof(float) * 2 * 2);
  CHECK(kv({.context = 129}) == 2u * 2 * 64 * 16 * sizeof(float) * 3 * 2);
  CHECK(kv({.context = 128, .sequences = 3}) == 3 * kv({.context = 128}));
  CHECK(kv({.context = 128, .kv = KvType::F16}) == kv({.context = 128}) / 2);
}

TEST_CASE("several sequences in one batch: each gets the bits it gets alone", "[threads]") {
  const Model model = open_tiny_model();
  const Engine alone(model, {.threads = 1});
  const Engine engine(model, {.threads = 2, .sequences = 3});
  const Ids a = random_tokens(70, 1), b = random_tokens(9, 2), c = random_tokens(130, 3);
  Sequence sa = engine.make_sequence(), sb = engine.make_sequence(), sc = engine.make_sequence();
  const std::array inputs{StepInput{&sa, a, Outputs::all}, StepInput{&sb, b, Outputs::last},
                          StepInput{&sc, c, Outputs::none}};
  const std::vector<float> rows = engine.step(inputs);
  const std::size_t vocab = model.plan().vocab_size;
  REQUIRE(rows.size() == (a.size() + 1) * vocab);
  CHECK(same(std::span(rows).first(a.size() * vocab), logits_of(alone, a)));
  CHECK(same(row(rows, a.size(), vocab), row(logits_of(alone, b), b.size() - 1, vocab)));
  CHECK((sa.length() == 70 && sb.length() == 9 && sc.length() == 130));

  SECTION("and so for the token after") {
    const Ids next{5};
    const std::array more{StepInput{&sc, next}, StepInput{&sa, next}};
    const std::vector<float> two = engine.step(more);
    Ids longer = c;
    longer.push_back(5);
    CHECK(same(row(two, 0, vocab), row(logits_of(alone, longer), c.size(), vocab)));
  }
}

TEST_CASE("chunks of any size give the same bits, all rows or one at a time") {
  const Model model = open_tiny_model();
  const Ids tokens = random_tokens(200, 4);
  const std::vector<float> expected = logits_of(Engine(model, {.threads = 1}), tokens);
  for (const std::uint32_t batch : {1u, 3u, 64u, 199u, 200u, 512u}) {
    CAPTURE(batch);
    const Engine engine(model, {.threads = 1, .batch = batch});
    CHECK(logits_of(engine, tokens) == expected);
    Sequence sequence = engine.make_sequence();
    const StepInput input{&sequence, tokens, Outputs::all};
    std::size_t next = 0;
    bool equal = true;
    engine.step({&input, 1}, [&](std::size_t, std::size_t token, std::span<const float> logits) {
      equal = equal && token == next++ && same(logits, row(expected, token, logits.size()));
    });
    CHECK(equal);
    CHECK(next == tokens.size());
  }
}

TEST_CASE("ranked rows are those of step(), ranked") {
  const Model model = open_tiny_model();
  const Ids tokens = random_tokens(50, 4), others = random_tokens(7, 5);
  const RankOptions options{.n = 5, .n_tokens = 250};
  for (const char* backend : {"cpu", "reference"}) {
    const Engine engine(model, {.backend = backend, .threads = 1, .sequences = 4, .batch = 16});
    Sequence a = engine.make_sequence(), b = engine.make_sequence();
    const StepInput whole[] = {{&a, tokens, Outputs::last}, {&b, others, Outputs::all}};
    const std::vector<float> rows = engine.step(whole);
    Sequence c = engine.make_sequence(), d = engine.make_sequence();
    const StepInput in_short[] = {{&c, tokens, Outputs::last}, {&d, others, Outputs::all}};
    const std::vector<RankedRow> ranked = engine.step_ranked(in_short, options);
    CHECK(c.length() == a.length());
    REQUIRE(ranked.size() == 8);
    for (std::size_t i = 0; i < ranked.size(); ++i) {
      const RankedRow expected = rank(row(rows, i, rows.size() / ranked.size()), options);
      CHECK(ranked[i].top == expected.top);
      CHECK(ranked[i].sum == expected.sum);
      CHECK(std::ranges::equal(ranked[i].highest, expected.highest, {}, &RankedToken::token,
                               &RankedToken::token));
      CHECK(std::ranges::equal(ranked[i].highest, expected.highest, {}, &RankedToken::logit,
                               &RankedToken::logit));
    }
  }
  const Engine engine(model, {.threads = 1});
  Sequence sequence = engine.make_sequence();
  const StepInput input{&sequence, tokens};
  const auto refused = [&](const RankOptions& o) {
    return thrown([&] { engine.step_ranked({&input, 1}, o); }).code();
  };
  CHECK(refused({.n = 0, .n_tokens = 5}) == ErrorCode::invalid_argument);
  CHECK(refused({.n = most_ranked + 1, .n_tokens = 5}) == ErrorCode::invalid_argument);
  CHECK(refused({.n = 1, .n_tokens = 1 << 20}) == ErrorCode::invalid_argument);
  const ForeseenDraws draws[2];
  CHECK(refused({.n = 1, .n_tokens = 5, .ahead = true, .draws = draws}) == ErrorCode::invalid_argument);
  CHECK(sequence.length() == 0);
}

TEST_CASE("progress counts the tokens of a step") {
  const Engine engine(open_tiny_model(), {.threads = 1, .batch = 50});
  Sequence sequence = engine.make_sequence();
  const Ids tokens = random_tokens(120, 1);
  const StepInput input{&sequence, tokens};
  std::vector<std::uint64_t> seen;
  engine.step({&input, 1}, {}, [&](Stage stage, std::uint64_t done, std::uint64_t total) {
    CHECK(stage == Stage::prefill);
    CHECK(total == 120);
    seen.push_back(done);
  });
  CHECK(seen == std::vector<std::uint64_t>{0, 50, 100, 120});
}

TEST_CASE("a fork shares the past and goes its own way") {
  for (const std::uint32_t window : {0u, 40u}) {
    CAPTURE(window);
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 1, .sequences = 2});
    const Ids past = random_tokens(100, 5), left = random_tokens(80, 6), right = random_tokens(80, 7);
    Sequence a = engine.make_sequence();
    step(engine, a, past, Outputs::none);
    Sequence b = engine.fork(a);
    const std::vector<float> la = step(engine, a, left), lb = step(engine, b, right);
    const Engine fresh(model, {.threads = 1});
    for (const auto& [more, logits] : {std::pair{left, la}, std::pair{right, lb}}) {
      Ids whole = past;
      whole.insert(whole.end(), more.begin(), more.end());
      const std::vector<float> expected = logits_of(fresh, whole);
      CHECK(same(logits, std::span(expected).last(logits.size())));
    }
  }
}

TEST_CASE("rewinding forgets exactly what came after") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1});
  const Ids tokens = random_tokens(150, 8), other = random_tokens(60, 9);
  Sequence sequence = engine.make_sequence();
  step(engine, sequence, tokens, Outputs::none);
  for (const std::uint32_t length : {149u, 128u, 100u, 64u, 1u, 0u}) {
    CAPTURE(length);
    REQUIRE(engine.rewind(sequence, length));
    CHECK(sequence.length() == length);
    const std::vector<float> logits = step(engine, sequence, other);
    Ids whole(tokens.begin(), tokens.begin() + length);
    whole.insert(whole.end(), other.begin(), other.end());
    const std::vector<float> expected = logits_of(Engine(model, {.threads = 1}), whole);
    CHECK(same(logits, std::span(expected).last(logits.size())));
    REQUIRE(engine.rewind(sequence, length));
  }
}

TEST_CASE("malformed 89: positions beyond a sequence's end are refused") {
  const Engine engine(open_tiny_model(), {.threads = 1});
  Sequence sequence = engine.make_sequence();
  step(engine, sequence, random_tokens(10, 1), Outputs::none);
  for (const std::uint32_t length : {11u, static_cast<std::uint32_t>(-1)}) {
    const Error e = thrown([&] { engine.rewind(sequence, length); });
    CHECK(e.code() == ErrorCode::out_of_range);
    CHECK(e.field() == "length");
    CHECK(sequence.length() == 10);
  }
}

TEST_CASE("a window gives its pages back, and no bit changes") {
  const Model model = open_tiny_model({.context = 2000, .window = 70});
  const Engine engine(model, {.threads = 1, .batch = 32});
  // Two runs of the window and a chunk, never the whole context: 3 + 3 pages a layer instead of 32.
  CHECK(engine.plan().kv_pages == 2 * (3 + 3));
  const Ids tokens = random_tokens(2000, 10);
  CHECK(logits_of(engine, tokens) == logits_of(Engine(model, {.threads = 1, .batch = 2000}), tokens));

  SECTION("going back as far as the window reaches works, further is refused and changes nothing") {
    Sequence sequence = engine.make_sequence();
    step(engine, sequence, std::span(tokens).first(1000), Outputs::none);
    CHECK_FALSE(engine.rewind(sequence, 700));
    CHECK(sequence.length() == 1000);
    CHECK(engine.rewind(sequence, 0));
  }
}

TEST_CASE("a context that would overflow is refused whole") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1, .context = 64, .sequences = 2});
  Sequence a = engine.make_sequence(), b = engine.make_sequence();
  const Ids tokens = random_tokens(65, 11);
  step(engine, a, std::span(tokens).first(60), Outputs::none);
  const std::array inputs{StepInput{&b, std::span(tokens).first(4)},
                          StepInput{&a, std::span(tokens).first(5)}};
  const Error e = thrown([&] { engine.step(inputs); });
  CHECK(e.code() == ErrorCode::context_overflow);
  CHECK(e.found() == "65 positions");
  CHECK(e.allowed() == "at most 64");
  CHECK((a.length() == 60 && b.length() == 0));
  CHECK(step(engine, a, std::span(tokens).first(4), Outputs::last).size() == model.plan().vocab_size);
}

TEST_CASE("malformed 88: a token outside the vocabulary is refused") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1});
  Sequence sequence = engine.make_sequence();
  for (const TokenId bad : {-1, static_cast<TokenId>(model.plan().vocab_size), 0x7fffffff}) {
    const Ids tokens{5, bad};
    const Error e = thrown([&] { step(engine, sequence, tokens); });
    CHECK(e.code() == ErrorCode::invalid_argument);
    CHECK(e.field() == "tokens");
    CHECK(e.found() == std::to_string(bad));
    CHECK(sequence.length() == 0);
  }
}

TEST_CASE("sequences: as many as planned, each once in a step, each of its engine") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1, .sequences = 2}), other(model, {.threads = 1});
  Sequence a = engine.make_sequence(), foreign = other.make_sequence();
  {
    Sequence b = engine.make_sequence();
    CHECK(thrown([&] { engine.make_sequence(); }).code() == ErrorCode::limit);
    CHECK(thrown([&] { engine.fork(a); }).code() == ErrorCode::limit);
  }
  Sequence b = engine.fork(a);  // its place was given back
  const Ids tokens{5};
  const std::array twice{StepInput{&a, tokens}, StepInput{&b, tokens}, StepInput{&a, tokens}};
  CHECK(thrown([&] { engine.step(twice); }).found() == "a sequence twice");
  CHECK(thrown([&] { step(engine, foreign, tokens); }).found() == "another engine's");
  CHECK(thrown([&] { engine.rewind(foreign, 0); }).code() == ErrorCode::invalid_argument);
  Sequence moved = std::move(b);
  CHECK(thrown([&] { step(engine, b, tokens); }).found() == "none");
  const StepInput none{nullptr, tokens};
  CHECK(thrown([&] { engine.step({&none, 1}); }).code() == ErrorCode::invalid_argument);
  CHECK(engine.step({}).empty());
  CHECK(step(engine, moved, {}).empty());
}

TEST_CASE("probing hands out a step's rows and leaves the sequence as it was") {
  for (const std::uint32_t window : {0u, 30u}) {
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 1, .batch = 16});
    const Ids past = random_tokens(90, 12), next = random_tokens(200, 13);
    Sequence sequence = engine.make_sequence(), *s = &sequence;
    step(engine, sequence, past, Outputs::none);
    std::vector<float> probed;
    const StepInput input{s, next, Outputs::all};
    engine.probe({&input, 1}, [&](std::size_t, std::size_t, std::span<const float> logits) {
      probed.insert(probed.end(), logits.begin(), logits.end());
    });
    CHECK(sequence.length() == 90);
    CHECK(step(engine, sequence, next) == probed);
  }
}

TEST_CASE("a step cancelled at any chunk changes nothing", "[threads]") {
  for (const std::uint32_t window : {0u, 20u, 100u}) {
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 2, .sequences = 3, .batch = 24});
    const Ids past = random_tokens(150, 14), next = random_tokens(200, 15);
    Sequence a = engine.make_sequence(), b = engine.make_sequence();
    step(engine, a, past, Outputs::none);
    Sequence fork = engine.fork(a);
    const std::array inputs{StepInput{&a, next, Outputs::all}, StepInput{&b, next, Outputs::last}};
    for (std::uint64_t at = 0; at <= 400; at += 24) {
      CAPTURE(window, at);
      std::stop_source stop;
      const Error e = thrown([&] {
        engine.step(inputs, stop.get_token(), [&](Stage, std::uint64_t done, std::uint64_t) {
          if (done >= at) stop.request_stop();
        });
      });
      // A stop that arrives after the last chunk is too late.
      if (at < 400) REQUIRE(e.code() == ErrorCode::cancelled);
      REQUIRE(a.length() == 150);
      REQUIRE(b.length() == 0);
    }
    const std::vector<float> rows = engine.step(inputs);
    Ids whole = past;
    whole.insert(whole.end(), next.begin(), next.end());
    const std::vector<float> expected = logits_of(Engine(model, {.threads = 1}), whole);
    const std::size_t n = next.size() * model.plan().vocab_size;
    CHECK(same(std::span(rows).first(n), std::span(expected).last(n)));
    CHECK(same(step(engine, fork, next), std::span(expected).last(n)));
  }
}

TEST_CASE("an error in the middle of a step, whatever threw it, changes nothing") {
  const Engine engine(open_tiny_model(), {.threads = 1, .batch = 16});
  Sequence sequence = engine.make_sequence();
  const Ids tokens = random_tokens(100, 16);
  const StepInput input{&sequence, tokens, Outputs::all};
  const auto refuse = [](std::size_t, std::size_t token, std::span<const float>) {
    if (token == 60) throw std::runtime_error("enough");
  };
  CHECK(thrown([&] { engine.step({&input, 1}, refuse); }).found() == "enough");
  CHECK(sequence.length() == 0);
  CHECK(step(engine, sequence, tokens) == logits_of(Engine(engine.model(), {.threads = 1}), tokens));
}

TEST_CASE("handles serve many threads, one step at a time", "[threads]") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 2, .sequences = 4});
  const Ids tokens = random_tokens(60, 17);
  const std::vector<float> expected = logits_of(Engine(model, {.threads = 1}), tokens);
  std::array<bool, 4> equal{};
  {
    std::vector<std::jthread> threads;
    for (bool& result : equal)
      threads.emplace_back([&, engine] {
        result = true;
        for (int i = 0; i < 5; ++i) result = result && logits_of(engine, tokens) == expected;
      });
  }
  CHECK(equal == std::array{true, true, true, true});
}

TEST_CASE("a caller waiting for its turn can be cancelled", "[threads]") {
  const Engine engine(open_tiny_model(), {.threads = 1, .sequences = 2});
  Sequence running = engine.make_sequence(), waiting = engine.make_sequence();
  const Ids tokens{5};
  std::stop_source stop;
  Error error = Error::out_of_memory();
  std::jthread other;
  const StepInput input{&running, tokens};
  // The row is handed out while the step has its turn.
  engine.step({&input, 1}, [&](std::size_t, std::size_t, std::span<const float>) {
    other = std::jthread([&] {
      const StepInput late{&waiting, tokens};
      error = thrown([&] { engine.step({&late, 1}, stop.get_token()); });
    });
    stop.request_stop();
    other.join();
  });
  CHECK(error.code() == ErrorCode::cancelled);
  CHECK(waiting.length() == 0);
}

TEST_CASE("a stop is obeyed within 50 ms, also in the middle of a long chunk", "[threads]") {
  // About 2 million multiplications a token, all 4096 tokens in one chunk: seconds, were it not stopped.
  TinyModel shape{.layers = 4, .heads = 8, .kv_heads = 8, .head_dim = 32, .embed_dim = 256, .ffn_dim = 768};
  shape.context = 4096;
  const Engine engine(open_tiny_model(shape), {.threads = 2, .batch = 4096});
  Sequence sequence = engine.make_sequence();
  const Ids tokens = random_tokens(4096, 19);
  const StepInput input{&sequence, tokens};
  using Clock = std::chrono::steady_clock;
  std::vector<double> milliseconds;
  for (int i = 0; i < 15; ++i) {
    std::stop_source stop;
    std::atomic<bool> begun = false;
    Clock::time_point asked;
    std::jthread other([&] {
      begun.wait(false);
      // Later from trial to trial: each stop finds another part of the work.
      const auto until = Clock::now() + std::chrono::milliseconds(4 * i);
      while (Clock::now() < until) std::this_thread::yield();
      asked = Clock::now();
      stop.request_stop();
    });
    const Error e = thrown([&] {
      engine.step({&input, 1}, stop.get_token(), [&](Stage, std::uint64_t, std::uint64_t) {
        begun = true;
        begun.notify_one();
      });
    });
    const auto ended = Clock::now();
    other.join();
    REQUIRE(e.code() == ErrorCode::cancelled);
    REQUIRE(sequence.length() == 0);
    milliseconds.push_back(std::chrono::duration<double, std::milli>(ended - asked).count());
  }
  // The median: what the scheduler of a busy machine adds to single trials is not the library's.
  std::ranges::nth_element(milliseconds, milliseconds.begin() + 7);
  CHECK(milliseconds[7] < 50);
}

TEST_CASE("two engines with different settings live in one process", "[threads]") {
  const Model model = open_tiny_model(TinyModel::blocks(Dtype{2}));
  const Ids tokens = random_tokens(90, 18);
  const Engine first(model, {.threads = 1, .context = 128, .batch = 8, .kv = KvType::F32});
  const Engine second(model, {.threads = 3, .context = 256, .sequences = 2, .kv = KvType::Q8_0});
  const std::vector<float> one = logits_of(first, tokens), two = logits_of(second, tokens);
  CHECK(one != two);
  for (int i = 0; i < 3; ++i) {
    CHECK(logits_of(first, tokens) == one);
    CHECK(logits_of(second, tokens) == two);
  }
}
