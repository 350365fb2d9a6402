// Generations with guesses are those without, bit for bit, however they end and whatever is done meanwhile.
#include <stdexcept>
#include <utility>

#include "nibble/session.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

const std::string prompt = "the cat and the hat and the cat sat on the mat and the cat and the ";

// All that a caller can see of a generation, and of what the session makes of it afterwards.
struct Seen {
  std::string text, streamed;
  Ids tokens, session;
  std::vector<float> logprobs, logits;
  StopReason reason = StopReason::max_tokens;
  bool operator==(const Seen&) const = default;

  std::uint32_t drafted = 0, accepted = 0;
};

bool same(const Seen& a, Seen b) {
  b.drafted = a.drafted, b.accepted = a.accepted;
  return a == b;
}

Seen generate(Session& session, const GenerateOptions& options, const OnText& on_text = {}) {
  Seen seen;
  const Generation out = session.generate(prompt, options, [&](std::string_view text) {
    seen.streamed.append(text).append("|");
    return !on_text || on_text(text);
  });
  seen.text = out.text;
  for (const GeneratedToken& t : out.tokens)
    seen.tokens.push_back(t.token), seen.logprobs.push_back(t.logprob);
  seen.session.assign(session.tokens().begin(), session.tokens().end());
  seen.reason = out.reason;
  seen.drafted = out.drafted_tokens;
  seen.accepted = out.accepted_tokens;
  session.append("");
  seen.logits.assign(session.logits().begin(), session.logits().end());
  return seen;
}

Seen generate(const Engine& engine, GenerateOptions options, std::uint32_t draft_tokens) {
  options.draft_tokens = draft_tokens;
  Session session(engine);
  return generate(session, options);
}

// Few tokens to choose from, so that guesses are right now and then.
std::map<std::int32_t, float> few_tokens() {
  return {{100, 30.0f}, {101, 30.0f}, {102, 31.0f}, {103, 29.0f}};
}

GenerateOptions greedy(std::uint32_t n) { return {.max_tokens = n, .temperature = 0, .ignore_end = true}; }

}  // namespace

TEST_CASE("guesses change nothing: models, windows, batches, KV types, options, seeds") {
  std::uint32_t right = 0, wrong = 0;
  for (const std::uint32_t window : {0u, 8u, 40u}) {
    const Model model = open_tiny_model({.window = window});
    for (const std::uint32_t batch : {1u, 2u, 5u, 16u, 512u}) {
      const Engine engine(model, {.threads = 1 + batch % 2,
                                  .context = 200,
                                  .batch = batch,
                                  .kv = batch == 5 ? KvType::BF16 : KvType::F16});
      // The third, too, is drawn from rows in short.
      std::vector<GenerateOptions> cases{
          greedy(60), greedy(500), {.max_tokens = 60, .temperature = 0.4f, .top_k = 3, .seed = 5}};
      for (const std::uint64_t seed : {1, 2, 3}) {
        cases.push_back({.max_tokens = 90, .temperature = 0.7f, .logit_bias = few_tokens(), .seed = seed});
        cases.push_back({.max_tokens = 80,
                         .temperature = 1.5f,
                         .repetition_penalty = 1.1f,
                         .presence_penalty = 0.2f,
                         .frequency_penalty = 0.1f,
                         .penalty_window = 20,
                         .logit_bias = few_tokens(),
                         .seed = seed,
                         .ignore_end = true});
        cases.push_back(
            {.max_tokens = 40, .temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed});
      }
      for (const GenerateOptions& options : cases) {
        const Seen plain = generate(engine, options, 0);
        REQUIRE(plain.drafted == 0);
        for (const std::uint32_t most : {1u, 3u, 15u, ~0u}) {
          CAPTURE(window, batch, options.temperature, options.seed, most);
          const Seen seen = generate(engine, options, most);
          REQUIRE(same(seen, plain));
          REQUIRE(seen.accepted <= seen.drafted);
          if (batch == 1) REQUIRE(seen.drafted == 0);
          right += seen.accepted, wrong += seen.drafted - seen.accepted;
        }
      }
    }
  }
  CHECK(right > 1000);
  CHECK(wrong > 1000);
}

TEST_CASE("a generation that repeats itself takes a fraction of the steps") {
  const Engine engine(open_tiny_model(), {.threads = 1});
  GenerateOptions options = greedy(200);
  options.logit_bias = {{100, 1000.0f}};
  const Seen seen = generate(engine, options, 15);
  CHECK(seen.tokens == Ids(200, 100));
  CHECK(seen.accepted > 170);
  CHECK(seen.drafted - seen.accepted <= 6);
}

TEST_CASE("guesses change nothing about how a generation ends", "[threads]") {
  const Engine engine(open_tiny_model({.context = 150}), {.threads = 1});
  GenerateOptions options = greedy(1000);
  options.logit_bias = few_tokens();
  const Seen all = generate(engine, options, 0);
  REQUIRE(all.reason == StopReason::context_full);
  CHECK(same(generate(engine, options, 15), all));
  CHECK(generate(engine, options, 15).accepted > 10);
  SECTION("max_tokens, any number") {
    for (std::uint32_t n = 0; n < 40; ++n) {
      options.max_tokens = n;
      CHECK(same(generate(engine, options, 15), generate(engine, options, 0)));
    }
  }
  SECTION("a stop text, anywhere") {
    for (std::size_t at = 0; at + 2 < std::min<std::size_t>(all.text.size(), 40); ++at) {
      options.stop = {all.text.substr(at, 2)};
      if (find_invalid_utf8(options.stop[0])) continue;
      CHECK(same(generate(engine, options, 15), generate(engine, options, 0)));
    }
  }
  SECTION("an end token, which the guesses hold as well") {
    options.ignore_end = false;
    options.temperature = 1;
    options.logit_bias[*engine.model().tokenizer().eos()] = 28.0f;
    for (options.seed = 0; options.seed < 20; ++options.seed) {
      const auto after_others = [&](std::uint32_t draft_tokens) {
        options.draft_tokens = draft_tokens;
        Session session(engine);
        session.append(Ids{100, 101, 2, 100, 101, 2, 101, 101, 2, 100, 2});
        return generate(session, options);
      };
      const Seen plain = after_others(0);
      CHECK(same(after_others(15), plain));
    }
  }
}

TEST_CASE("guesses change nothing about a generation that is ended from outside", "[threads]") {
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const Engine engine(open_tiny_model({.window = 20}), {.threads = 1});
  GenerateOptions options = greedy(40);
  // Whole rows, or rows in short: a model that falls into a loop soon.
  const bool whole = GENERATE(true, false);
  if (whole) options.logit_bias = few_tokens();
  std::uint32_t accepted = 0;
  enum class How { callback, cancel, exception };
  for (const How how : {How::callback, How::cancel, How::exception}) {
    for (int at = 1; at <= 30; ++at) {
      CAPTURE(static_cast<int>(how), at);
      const auto ended = [&](std::uint32_t draft_tokens) {
        options.draft_tokens = draft_tokens;
        Session session(engine);
        int calls = 0;
        const OnText on_text = [&](std::string_view) {
          if (++calls < at) return true;
          if (how == How::cancel) session.cancel();
          if (how == How::exception) throw Own("enough");
          return how != How::callback;
        };
        try {
          return generate(session, options, on_text);
        } catch (const Own&) {
          // What is left goes on as if nothing had happened.
          return generate(session, options);
        }
      };
      const Seen seen = ended(15);
      accepted += seen.accepted;
      CHECK(same(seen, ended(0)));
    }
  }
  CHECK(accepted > 100);
}

TEST_CASE("a session under way with guesses can be read, forked and saved as one without") {
  const TempFolder folder;
  const Model model = open_tiny_model({.window = 20});
  const Engine engine(model, {.threads = 1, .sequences = 2});
  const auto observed = [&](std::uint32_t draft_tokens) {
    GenerateOptions options = greedy(30);
    options.logit_bias = few_tokens();
    options.draft_tokens = draft_tokens;
    Session session(engine);
    std::vector<Seen> copies;
    const Seen seen = generate(session, options, [&](std::string_view) {
      CHECK(session.logits().empty());
      Session fork = session.fork();
      copies.push_back(generate(fork, greedy(9)));
      session.save(folder.path() / "state");
      fork.restore(folder.path() / "state");
      copies.push_back(generate(fork, greedy(9)));
      return true;
    });
    return std::pair(seen, copies);
  };
  const auto [seen, copies] = observed(15);
  const auto [plain, plain_copies] = observed(0);
  CHECK(seen.accepted > 5);
  CHECK(same(seen, plain));
  CHECK(std::ranges::equal(copies, plain_copies, same));
}
