// Session: text in, text out, and the same tokens whatever went wrong on the way.
#include "nibble/session.hpp"

#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#include "nibble/sample/sampler.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/temp_folder.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

Ids ids(const Session& session) { return {session.tokens().begin(), session.tokens().end()}; }

GenerateOptions greedy(std::uint32_t n) { return {.max_tokens = n, .temperature = 0, .ignore_end = true}; }

Ids ids(const Generation& generation) {
  Ids list;
  for (const GeneratedToken& t : generation.tokens) list.push_back(t.token);
  return list;
}

// A session's tokens and logits, to be the same again.
struct Snapshot {
  explicit Snapshot(const Session& s) : tokens(ids(s)), logits(s.logits().begin(), s.logits().end()) {}
  bool operator==(const Snapshot&) const = default;
  Ids tokens;
  std::vector<float> logits;
};

const std::string prompt = "the cat and the hat";

}  // namespace

TEST_CASE("greedy generation is Engine::step's highest logit, token by token") {
  for (const bool byte_level : {false, true}) {
    const Model model = open_tiny_model({.byte_level = byte_level});
    const Engine engine(model, {.threads = 1, .sequences = 2});
    Session session(engine);
    const Generation out = session.generate(prompt, greedy(20));

    Ids tokens = model.tokenizer().encode(prompt, {.add_special = false});
    tokens.insert(tokens.begin(), *model.tokenizer().bos());
    CHECK(out.prompt_tokens == tokens.size());
    Sequence sequence = engine.make_sequence();
    Ids expected;
    for (std::span<const TokenId> next = tokens; expected.size() < 20; next = std::span(expected).last(1)) {
      const StepInput input{&sequence, next};
      const std::vector<float> logits = engine.step({&input, 1});
      expected.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
      CHECK(out.tokens[expected.size() - 1].logprob ==
            static_cast<float>(log_probability(logits, expected.back())));
    }
    CHECK(ids(out) == expected);
    tokens.insert(tokens.end(), expected.begin(), expected.end());
    CHECK(ids(session) == tokens);
    CHECK(out.reason == StopReason::max_tokens);
  }
}

// A bias of 0 changes no logit, but takes the whole row.
TEST_CASE("what is drawn from ranked rows is what is drawn from whole ones") {
  const Model model = open_tiny_model();
  for (const char* backend : {"cpu", "reference"}) {
    const Engine engine(model, {.backend = backend, .threads = 1});
    for (const float temperature : {0.0f, 0.8f, 1.5f}) {
      CAPTURE(backend, temperature);
      GenerateOptions options{.max_tokens = 40, .temperature = temperature, .seed = 3, .ignore_end = true};
      Session ranked(engine);
      const Generation a = ranked.generate(prompt, options);
      const Snapshot after = (ranked.append(""), Snapshot(ranked));
      options.logit_bias = {{5, 0.0f}};
      ranked.rewind(0);
      const Generation b = ranked.generate(prompt, options);
      CHECK(ids(a) == ids(b));
      CHECK(std::ranges::equal(a.tokens, b.tokens, {}, &GeneratedToken::logprob, &GeneratedToken::logprob));
      CHECK((ranked.append(""), Snapshot(ranked)) == after);
    }
  }
}

TEST_CASE("text is handed out in whole characters and is all of the text") {
  for (const bool byte_level : {false, true}) {
    const Engine engine(open_tiny_model({.byte_level = byte_level}), {.threads = 1});
    for (const std::uint64_t seed : {1, 2, 3, 4}) {
      Session session(engine);
      std::string streamed;
      bool whole = true;
      const Generation out = session.generate(prompt,
                                              {.max_tokens = 120,
                                               .temperature = 2,
                                               .top_k = 0,
                                               .top_p = 1,
                                               .min_p = 0,
                                               .seed = seed,
                                               .ignore_end = true},
                                              [&](std::string_view text) {
                                                whole = whole && !find_invalid_utf8(text) && !text.empty();
                                                streamed += text;
                                                return true;
                                              });
      CHECK(whole);
      CHECK(streamed == out.text);
      CHECK(out.tokens.size() == 120);
    }
  }
}

TEST_CASE("the same seed gives the same text, another seed another") {
  const Engine engine(open_tiny_model(), {.threads = 2});
  const auto text = [&](std::uint64_t seed) {
    return ids(Session(engine).generate(prompt, {.max_tokens = 30, .temperature = 1.5f, .seed = seed}));
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
}

TEST_CASE("every way for a generation to end", "[threads]") {
  const Model model = open_tiny_model({.context = 64});
  const Engine engine(model, {.threads = 1});
  Session session(engine);
  SECTION("max_tokens, none of them too") {
    CHECK(session.generate(prompt, greedy(0)).reason == StopReason::max_tokens);
    CHECK_FALSE(session.logits().empty());
  }
  SECTION("an end token, which joins the session but not the text") {
    GenerateOptions o = greedy(9);
    o.ignore_end = false;
    o.logit_bias = {{*model.tokenizer().eos(), 1000.0f}};
    const Generation out = session.generate(prompt, o);
    CHECK(out.reason == StopReason::end_token);
    CHECK(out.text.empty());
    CHECK(ids(out) == Ids{*model.tokenizer().eos()});
    CHECK(session.tokens().back() == *model.tokenizer().eos());
  }
  SECTION("a stop text, never handed out") {
    const std::string all = session.generate(prompt, greedy(40)).text;
    for (std::size_t at = 0; at + 3 < all.size(); at += 2) {
      const std::string stop = all.substr(at, 3);
      if (find_invalid_utf8(stop)) continue;
      Session other(std::move(session));
      other.rewind(0);
      GenerateOptions o = greedy(40);
      o.stop = {stop};
      std::string streamed;
      const Generation out = other.generate(prompt, o, [&](std::string_view text) {
        streamed += text;
        return true;
      });
      CHECK(out.reason == StopReason::stop_text);
      CHECK(out.text == all.substr(0, all.find(stop)));
      CHECK(streamed == out.text);
      session = std::move(other);
    }
  }
  SECTION("a full context") {
    const Generation out = session.generate(prompt, greedy(1000));
    CHECK(out.reason == StopReason::context_full);
    CHECK(session.tokens().size() == 64);
    CHECK(session.generate("", greedy(5)).tokens.empty());
  }
  SECTION("the callback") {
    int calls = 0;
    const Generation out =
        session.generate(prompt, greedy(30), [&](std::string_view) { return ++calls < 3; });
    CHECK(out.reason == StopReason::callback);
    CHECK(calls == 3);
  }
  SECTION("cancel(), from another thread") {
    std::jthread other;
    const Generation out = session.generate(prompt, greedy(1000), [&](std::string_view) {
      if (!other.joinable()) other = std::jthread([&] { session.cancel(); });
      other.join();
      other = std::jthread([] {});
      return true;
    });
    CHECK(out.reason == StopReason::cancelled);
    CHECK_FALSE(out.tokens.empty());
  }
}

TEST_CASE("a session cut into calls is the same session") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1, .sequences = 2});
  Session whole(engine), parts(engine);
  const Generation all = whole.generate(prompt, greedy(30));
  std::string text;
  Ids tokens;
  parts.append(prompt);
  for (int i = 0; i < 10; ++i) {
    const Generation out = parts.generate("", greedy(3));
    text += out.text;
    const Ids more = ids(out);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  CHECK(tokens == ids(all));
  CHECK(ids(parts) == ids(whole));
  SECTION("appending nothing evaluates what generate left to do") {
    CHECK(parts.logits().empty());
    parts.append("");
    whole.append("");
    CHECK(Snapshot(parts) == Snapshot(whole));
    CHECK(parts.logits().size() == model.plan().vocab_size);
  }
}

TEST_CASE("the first text gets BOS, once; an empty session without one has nothing to continue") {
  const Model model = open_tiny_model();
  const Engine engine(model, {.threads = 1});
  Session session(engine);
  session.append("<s>the", true);
  session.append(" cat");
  CHECK(std::ranges::count(session.tokens(), *model.tokenizer().bos()) == 1);
  session.rewind(0);
  CHECK(session.generate("", greedy(2)).prompt_tokens == 1);

  const TempFolder folder;
  Metadata metadata = tiny_metadata({});
  metadata.set("tokenizer.ggml.add_bos_token", false);
  write_tiny_model(folder.path() / "m.gguf", {}, metadata);
  Session bare(Engine(Model::open(folder.path() / "m.gguf"), {.threads = 1}));
  const Error e = thrown([&] { bare.generate("", greedy(2)); });
  CHECK(e.code() == ErrorCode::invalid_argument);
  CHECK(e.field() == "prompt");
}

TEST_CASE("padding rows of the vocabulary are never drawn") {
  const Model model = open_tiny_model({.padding_rows = 600});
  REQUIRE(model.plan().vocab_size == model.tokenizer().size() + 600);
  Session session(Engine(model, {.threads = 1}));
  for (const GeneratedToken& t :
       session
           .generate(
               prompt,
               {.max_tokens = 200, .temperature = 3, .top_k = 0, .top_p = 1, .min_p = 0, .ignore_end = true})
           .tokens)
    REQUIRE(static_cast<std::uint32_t>(t.token) < model.tokenizer().size());
}

TEST_CASE("rewinding forgets, whatever a window has dropped") {
  for (const std::uint32_t window : {0u, 16u}) {
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 1, .sequences = 2, .batch = 16});
    Session session(engine);
    session.append(prompt + prompt + prompt + prompt + prompt + prompt + prompt + prompt);
    const Ids before = ids(session);
    REQUIRE(before.size() >= 80);
    const Generation first = session.generate(" again", greedy(40));
    for (const std::size_t length :
         {before.size(), before.size() - 1, std::size_t{70}, std::size_t{1}, std::size_t{0}}) {
      CAPTURE(window, length);
      session.rewind(static_cast<std::uint32_t>(length));
      Session fresh(engine);
      fresh.append(std::span(before).first(length));
      CHECK(ids(session) == ids(fresh));
      CHECK(ids(session.generate(prompt, greedy(9))) == ids(fresh.generate(prompt, greedy(9))));
      session.append("");
      fresh.append("");
      CHECK(Snapshot(session) == Snapshot(fresh));
    }
  }
}

TEST_CASE("malformed 89: rewinding beyond the end is refused") {
  Session session(Engine(open_tiny_model(), {.threads = 1}));
  session.append(prompt);
  const Snapshot before(session);
  for (const std::size_t length : {session.tokens().size() + 1, std::size_t{~0u}}) {
    const Error e = thrown([&] { session.rewind(static_cast<std::uint32_t>(length)); });
    CHECK(e.code() == ErrorCode::out_of_range);
    CHECK(e.field() == "length");
    CHECK(Snapshot(session) == before);
  }
}

TEST_CASE("a fork goes its own way") {
  const Engine engine(open_tiny_model(), {.threads = 1, .sequences = 2});
  Session session(engine);
  session.generate(prompt, greedy(5));
  Session fork = session.fork();
  CHECK(ids(fork) == ids(session));
  const Ids other = ids(fork.generate(" hat", greedy(9)));
  const Ids mine = ids(session.generate(" sat", greedy(9)));
  session.rewind(0);
  session.generate(prompt, greedy(5));
  CHECK(ids(session.generate(" hat", greedy(9))) == other);
  CHECK(mine != other);
  CHECK(thrown([&] { session.fork(); }).code() == ErrorCode::limit);
}

TEST_CASE("score: each token's log-probability, the session unchanged") {
  for (const std::uint32_t window : {0u, 8u}) {
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 1, .sequences = 2, .batch = 4});
    Session session(engine), stepwise(engine);
    const auto by_steps = [&](std::string_view text, bool first) {
      std::vector<float> list;
      Ids tokens = model.tokenizer().encode(text, {.add_special = false});
      if (first) stepwise.append(Ids{*model.tokenizer().bos()});
      for (const TokenId token : tokens) {
        list.push_back(static_cast<float>(log_probability(stepwise.logits(), token)));
        stepwise.append(Ids{token});
      }
      return list;
    };
    const auto scored = [&](std::string_view text) {
      std::vector<float> list;
      for (const GeneratedToken& t : session.score(text)) list.push_back(t.logprob);
      return list;
    };
    CHECK(scored(prompt) == by_steps(prompt, true));
    CHECK(session.tokens().empty());
    session.append(prompt);
    const Snapshot before(session);
    CHECK(scored(" sat on the mat") == by_steps(" sat on the mat", false));
    CHECK(Snapshot(session) == before);
    CHECK(session.score("").empty());
  }
}

TEST_CASE("an overflowing prompt is refused whole: append, generate and score") {
  const Engine engine(open_tiny_model(), {.threads = 1, .context = 40});
  Session session(engine);
  session.append("the cat");
  const Snapshot before(session);
  const std::string longer(60, 'x');
  CHECK(thrown([&] { session.append(longer); }).code() == ErrorCode::context_overflow);
  CHECK(thrown([&] { session.generate(longer); }).code() == ErrorCode::context_overflow);
  CHECK(thrown([&] { session.score(longer); }).code() == ErrorCode::context_overflow);
  CHECK(Snapshot(session) == before);
}

TEST_CASE("malformed 92: a prompt that is not UTF-8 is refused at its byte") {
  Session session(Engine(open_tiny_model(), {.threads = 1}));
  session.append("the");
  const Snapshot before(session);
  for (const char* bad : {"a\xff", "a\xc3", "a\xed\xa0\x80", "a\xf8\x88\x80\x80\x80"}) {
    for (const Error& e : {thrown([&] { session.append(bad); }), thrown([&] { session.generate(bad); }),
                           thrown([&] { session.score(bad); })}) {
      CHECK(e.code() == ErrorCode::invalid_argument);
      CHECK(e.position() == "byte 1");
    }
  }
  CHECK(Snapshot(session) == before);
}

TEST_CASE("malformed 88, 90 and 91: options are refused before anything is evaluated") {
  const Engine engine(open_tiny_model(), {.threads = 1});
  Session session(engine);
  session.append("the");
  const Snapshot before(session);
  const auto field = [&](GenerateOptions o) {
    const Error e = thrown([&] { session.generate("cat", o); });
    CHECK((e.code() == ErrorCode::invalid_argument || e.code() == ErrorCode::limit));
    CHECK(Snapshot(session) == before);
    return std::string(e.field());
  };
  CHECK(field({.temperature = NAN}) == "temperature");
  CHECK(field({.top_p = INFINITY}) == "top_p");
  CHECK(field({.logit_bias = {{9999, 1.0f}}}) == "logit_bias");
  CHECK(field({.stop = {""}}) == "stop");
  CHECK(field({.stop = std::vector<std::string>(65, "x")}) == "stop");
  const Error e = thrown([&] { session.append(Ids{5, 9999}); });
  CHECK(e.code() == ErrorCode::invalid_argument);
  CHECK(e.found() == "9999");
  CHECK(Snapshot(session) == before);
}

TEST_CASE("cancel ends the call that runs and none later", "[threads]") {
  const Engine engine(open_tiny_model(), {.threads = 1, .batch = 8});
  Session session(engine);
  session.append("the cat");
  const Snapshot before(session);
  const std::string longer(300, 'x');
  session.cancel();  // nothing runs
  for (const std::uint64_t at : {0, 100, 200, 280}) {
    const Progress stop = [&](Stage, std::uint64_t done, std::uint64_t) {
      if (done >= at) session.cancel();
    };
    CHECK(thrown([&] { session.append(longer, false, stop); }).code() == ErrorCode::cancelled);
    CHECK(Snapshot(session) == before);
    GenerateOptions o = greedy(4);
    o.progress = stop;
    CHECK(thrown([&] { session.generate(longer, o); }).code() == ErrorCode::cancelled);
    CHECK(Snapshot(session) == before);
  }
  CHECK(session.generate(longer, greedy(4)).tokens.size() == 4);
}

TEST_CASE("an exception of the callback's own reaches the caller; the session goes on") {
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  Session session(Engine(open_tiny_model(), {.threads = 1}));
  CHECK_THROWS_AS(session.generate(prompt, greedy(30), [](std::string_view) -> bool { throw Own("enough"); }),
                  Own);
  CHECK(session.generate("", greedy(3)).tokens.size() == 3);
}

TEST_CASE("a saved session goes on bit for bit, generated or not, evaluated or not") {
  const TempFolder folder;
  for (const std::uint32_t window : {0u, 16u}) {
    const Model model = open_tiny_model({.window = window});
    const Engine engine(model, {.threads = 1, .sequences = 2}), other(model, {.threads = 2});
    for (const int how : {0, 1, 2, 3}) {
      CAPTURE(window, how);
      Session session(engine);
      if (how > 0) session.append(prompt + prompt + prompt);
      if (how > 1) session.generate("", greedy(50));
      if (how > 2) session.rewind(20);
      session.save(folder.path() / "state");
      Session restored(other);
      restored.append("something else");
      restored.restore(folder.path() / "state");
      CHECK(Snapshot(restored) == Snapshot(session));
      CHECK(ids(restored.generate(" and", greedy(20))) == ids(session.generate(" and", greedy(20))));
    }
  }
}

TEST_CASE(
    "malformed 87: a session refuses a state that is not its own, unchanged; files are whole or absent") {
  const TempFolder folder;
  const Engine engine(open_tiny_model(), {.threads = 1, .sequences = 2});
  Session session(engine), source(engine);
  session.append("the cat");
  const Snapshot before(session);
  source.append("the hat");
  source.save(folder.path() / "good");
  const std::string good = read_text(folder.path() / "good");
  const auto refused = [&](const std::string& bytes) {
    std::ofstream(folder.path() / "bad", std::ios::binary) << bytes;
    const Error e = thrown([&] { session.restore(folder.path() / "bad"); });
    CHECK(Snapshot(session) == before);
    CHECK(e.source() == (folder.path() / "bad").string());
    return e.code();
  };
  CHECK(refused("") == ErrorCode::truncated);
  CHECK(refused(good.substr(0, good.size() - 1)) == ErrorCode::truncated);
  CHECK(refused(good + "x") == ErrorCode::malformed);
  CHECK(refused("x" + good) == ErrorCode::bad_magic);
  CHECK(thrown([&] { session.restore(folder.path() / "none"); }).code() == ErrorCode::io);
  CHECK(thrown([&] { session.save(folder.path() / "no folder/state"); }).code() == ErrorCode::io);
  session.restore(folder.path() / "good");
  CHECK(Snapshot(session) == Snapshot(source));
  session.save(folder.path() / "good");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    names.insert(entry.path().filename());
  CHECK(names == std::set<std::string>{"bad", "good"});
}
