// The step ahead: begun before the host has seen the last token, thrown away where another one comes, and
// nothing else than faster. The emulator does its work at once, or as late as may be.
#include <optional>
#include <random>
#include <stdexcept>

#include "nibble/session.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"
#include "tests/cuda/emulated_engine.hpp"

using namespace nibble;
using namespace nibble::cuda;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

Model small_model(std::uint32_t window = 0) {
  return open_tiny_model(
      {.layers = 1, .heads = 2, .kv_heads = 1, .embed_dim = 32, .ffn_dim = 32, .window = window});
}

bool same_row(const RankedRow& a, const RankedRow& b) {
  const auto same = [](const RankedToken& x, const RankedToken& y) {
    return x.token == y.token && x.logit == y.logit;
  };
  return a.top == b.top && a.sum == b.sum && std::ranges::equal(a.highest, b.highest, same);
}

SamplerOptions drawing(float temperature, std::uint64_t seed) {
  return {.temperature = temperature, .top_k = 20, .top_p = 0.98f, .min_p = 0.01f, .seed = seed};
}

// An engine on the emulator that goes ahead, or does not.
struct Stepper {
  Stepper(const Model& model, bool goes_ahead, bool is_late)
      : emulated{.is_late = is_late},
        engine(make_emulated_engine(model, {.context = 200, .sequences = 4}, emulated)),
        ahead(goes_ahead) {}

  struct Input {
    Sequence* sequence;
    TokenId token;
    const Sampler* sampler = nullptr;  // of what is drawn next; null: the highest
  };
  std::vector<RankedRow> step(const std::vector<Input>& inputs, const std::stop_token& stop = {}) {
    std::vector<StepInput> all;
    std::vector<ForeseenDraws> draws;
    RankOptions ranking{.n = 1, .n_tokens = engine.model().plan().vocab_size, .ahead = ahead};
    for (const Input& input : inputs) {
      all.push_back({.sequence = input.sequence, .tokens = {&input.token, 1}});
      if (input.sampler == nullptr) continue;
      ranking.n = std::max(ranking.n, input.sampler->ranking()->n);
      draws.push_back(*input.sampler->foresee());
    }
    ranking.draws = draws;
    return engine.step_ranked(all, ranking, stop);
  }
  // `n` steps of one sequence, each with what came of the one before; the token after them.
  TokenId go_on(Sequence& sequence, TokenId token, std::uint32_t n) {
    for (; n > 0; --n) token = step({{&sequence, token}})[0].highest.front().token;
    return token;
  }

  Emulated emulated;
  Engine engine;
  bool ahead;
};

}  // namespace

TEST_CASE("cuda: a token is one wait, and the next one's pass is under way before it") {
  const std::uint32_t window = 20;
  const float temperature = GENERATE(0.0f, 1.2f);
  Stepper stepper(small_model(window), true, true);
  Sequence sequence = stepper.engine.make_sequence();
  Sampler sampler(drawing(temperature, 3), stepper.engine.model().plan().vocab_size);
  TokenId token = 5;
  bool had_begun = false;
  std::uint32_t not_highest = 0;
  for (std::uint32_t i = 0; i < 90; ++i) {
    const Emulated before = stepper.emulated;
    const RankedRow row = stepper.step({{&sequence, token, &sampler}})[0];
    token = sampler.sample(row).token;
    not_highest += token != row.highest.front().token;
    // The first says what goes on; the last of a page, or of one that the window leaves, needs new pages.
    const bool leaves_page = i + 1 == 64 || i + 2 == 64 + window;
    CAPTURE(temperature, i);
    REQUIRE(row.ahead == (i > 0 && !leaves_page));
    REQUIRE(stepper.emulated.waits == before.waits + 1);
    REQUIRE(stepper.emulated.ahead == before.ahead + row.ahead);
    REQUIRE((stepper.emulated.uploads == before.uploads) == had_begun);
    had_begun = row.ahead;
  }
  CHECK((not_highest > 20) == (temperature > 0));
}

TEST_CASE("cuda: steps ahead change no row, whatever is done between them") {
  const float temperature = GENERATE(0.0f, 1.2f);
  const Model model = small_model(20);
  const std::uint32_t vocab_size = model.plan().vocab_size;
  Stepper plain(model, false, false), at_once(model, true, false), late(model, true, true);
  Stepper* const steppers[] = {&plain, &at_once, &late};
  struct Triplet {
    std::vector<Sequence> of;  // each stepper's
    Sampler sampler;
    TokenId next = 7;
  };
  std::vector<Triplet> all;
  for (const std::uint64_t seed : {1, 2, 3}) {
    all.push_back({.of = {}, .sampler = Sampler(drawing(temperature, seed), vocab_size)});
    for (Stepper* stepper : steppers) all.back().of.push_back(stepper->engine.make_sequence());
  }
  std::mt19937 random(1);
  std::vector<std::size_t> chosen{0, 1, 2};
  std::uint32_t begun = 0;
  for (int i = 0; i < 30; ++i) {
    Triplet &a = all[random() % 3], &b = all[random() % 3];
    const std::uint32_t kind = random() % 14, length = a.of[0].length();
    if (kind == 0) std::ranges::shuffle(chosen, random);
    if (kind == 1) std::ranges::shuffle(chosen = {0, 1, 2}, random), chosen.resize(1 + random() % 3);
    if (kind == 2) a.next = static_cast<TokenId>(3 + random() % 300);
    for (std::size_t s = 0; s < 3; ++s) {
      const Engine& engine = steppers[s]->engine;
      if (kind == 3 && &a != &b) b.of[s] = engine.fork(a.of[s]);
      if (kind == 4) engine.rewind(a.of[s], length - std::min(length, 3u));
      if (kind == 5) engine.restore(engine.save(a.of[s], Ids(length, 3)), b.of[s]);
    }
    if (kind >= 3 && kind <= 5) b.next = a.next, b.sampler = a.sampler;
    // Numbers that are drawn elsewhere, and another way of drawing.
    if (kind == 7) a.sampler.sample(rank(std::vector<float>(vocab_size), *a.sampler.ranking()));
    if (kind == 8) a.sampler = Sampler(drawing(2 * temperature, random()), vocab_size);
    std::vector<RankedRow> rows[3];
    for (std::size_t s = 0; s < 3; ++s) {
      std::vector<Stepper::Input> inputs;
      for (const std::size_t n : chosen) inputs.push_back({&all[n].of[s], all[n].next, &all[n].sampler});
      if (kind == 6) {
        std::stop_source stop;
        stop.request_stop();
        CHECK(thrown([&] { steppers[s]->step(inputs, stop.get_token()); }).code() == ErrorCode::cancelled);
      }
      rows[s] = steppers[s]->step(inputs);
    }
    CAPTURE(temperature, i, kind);
    for (std::size_t n = 0; n < chosen.size(); ++n) {
      REQUIRE(same_row(rows[1][n], rows[0][n]));
      REQUIRE(same_row(rows[2][n], rows[0][n]));
      all[chosen[n]].next = all[chosen[n]].sampler.sample(rows[0][n]).token;
    }
    begun += rows[2][0].ahead;
  }
  CHECK(begun > 8);
  CHECK(begun < 24);
}

TEST_CASE("cuda: what has begun is not for another past, in other pages or in its own") {
  const Model model = small_model();
  Stepper stepper(model, true, true), plain(model, false, false);
  Sequence sequence = stepper.engine.make_sequence(), other = stepper.engine.make_sequence(),
           expected = plain.engine.make_sequence();
  stepper.go_on(other, 9, 6);
  plain.go_on(expected, 9, 6);
  SECTION("in other pages") {
    const TokenId next = stepper.go_on(sequence, 5, 6);  // whose step has begun
    CHECK(same_row(stepper.step({{&other, next}})[0], plain.step({{&expected, next}})[0]));
  }
  SECTION("in its own, from a saved state") {
    const std::vector<std::byte> saved = stepper.engine.save(other, Ids(6, 9));
    const TokenId next = stepper.go_on(sequence, 5, 6);
    stepper.engine.restore(saved, sequence);
    CHECK(same_row(stepper.step({{&sequence, next}})[0], plain.step({{&expected, next}})[0]));
  }
  SECTION("in its own, from a fork's origin") {
    Sequence fork = stepper.engine.fork(other);
    const TokenId next = stepper.go_on(sequence, 5, 6);
    { const Sequence gone = std::move(sequence); }
    CHECK(same_row(stepper.step({{&fork, next}})[0], plain.step({{&expected, next}})[0]));
  }
}

TEST_CASE("cuda: an error of the step ahead is of the call that goes on with it") {
  const bool is_late = GENERATE(false, true);
  const Model model = small_model();
  std::uint64_t of_a_step = 0;
  for (const std::uint64_t more : {0, 1, 9}) {
    Stepper stepper(model, true, is_late);
    Sequence sequence = stepper.engine.make_sequence();
    TokenId token = stepper.go_on(sequence, 5, 1);
    if (of_a_step == 0) of_a_step = stepper.emulated.launches;
    REQUIRE(more < of_a_step);
    stepper.emulated.launches_left = 4 * of_a_step + more;
    token = stepper.go_on(sequence, token, 4);
    CAPTURE(is_late, more);
    for (int again = 0; again < 2; ++again)
      CHECK(thrown([&] { stepper.go_on(sequence, token, 1); }).code() == ErrorCode::device_lost);
    CHECK(sequence.length() == 5);
  }
}

TEST_CASE("cuda: generations with steps ahead are those without, however they end") {
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  Emulated emulated{.is_late = true};
  const Engine engine = make_emulated_engine(small_model(), {.context = 200, .sequences = 2}, emulated);
  struct Seen {
    Ids tokens;
    std::string text;
    std::vector<float> logits;
    bool operator==(const Seen&) const = default;
  };
  enum class How { max_tokens, stop_text, callback, cancel, exception, fork };
  // A bias of nothing takes whole rows, and no step ahead.
  const auto run = [&](How how, std::uint32_t at, GenerateOptions options, bool ahead) {
    if (!ahead) options.logit_bias = {{3, 0.0f}};
    if (how == How::max_tokens) options.max_tokens = at;
    Session session(engine);
    Ids of_fork;
    std::uint32_t calls = 0;
    try {
      session.generate("the cat sat", options, [&](std::string_view) {
        if (how == How::max_tokens || ++calls != at) return true;
        if (how == How::cancel) session.cancel();
        if (how == How::exception) throw Own("enough");
        if (how == How::fork) {
          Session fork = session.fork();
          for (const GeneratedToken& t : fork.generate("", options).tokens) of_fork.push_back(t.token);
        }
        return how != How::callback;
      });
    } catch (const Own&) {
    }
    Seen seen{
        .tokens = {}, .text = session.generate("", {.max_tokens = 4, .temperature = 0}).text, .logits = {}};
    session.append("");
    seen.tokens.assign(session.tokens().begin(), session.tokens().end());
    seen.tokens.insert(seen.tokens.end(), of_fork.begin(), of_fork.end());
    seen.logits.assign(session.logits().begin(), session.logits().end());
    return seen;
  };
  const float temperature = GENERATE(0.0f, 0.9f);
  GenerateOptions options{
      .max_tokens = 12, .temperature = temperature, .seed = 4, .draft_tokens = 0, .ignore_end = true};
  std::vector<std::string> pieces;
  Session(engine).generate("the cat sat", options, [&](std::string_view piece) {
    pieces.emplace_back(piece);
    return true;
  });
  for (const How how :
       {How::max_tokens, How::stop_text, How::callback, How::cancel, How::exception, How::fork}) {
    const bool drafts = static_cast<int>(how) % 2 != 0;
    const std::uint32_t at = drafts ? 7 : 3;
    CAPTURE(temperature, static_cast<int>(how));
    options.draft_tokens = drafts ? 15 : 0;
    options.stop.clear();
    if (how == How::stop_text) options.stop = {pieces.at(at - 1)};
    const std::uint64_t before = emulated.ahead;
    const Seen seen = run(how, at, options, true);
    CHECK(emulated.ahead > before);
    CHECK(seen == run(how, at, options, false));
  }
}
