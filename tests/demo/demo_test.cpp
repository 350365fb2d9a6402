// The bundled demo model does what its data sheet says: the same tokens and logits as its training code
// computed. The whole flow on a trained, quantised model with a window; examples/models/expected.py made the
// expectations.
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

const std::filesystem::path folder = NIBBLE_SOURCE_DIR "/examples/models";

std::string answer(Engine& engine, const std::string& prompt) {
  Session session(engine);
  return session.generate(prompt, {.max_tokens = 64, .temperature = 0, .parse_special = true}).text;
}

}  // namespace

TEST_CASE("demo: greedy tokens equal those of the training code, past the window too") {
  const nlohmann::json expected = read_json(folder / "expected.json");
  Engine engine(Model::open(folder / "demo.gguf"), {.threads = 2, .kv = KvType::F32});
  for (const nlohmann::json& c : expected["cases"]) {
    // Activations in int8 move logits by less than a tenth; where the margin is smaller, tokens prove
    // nothing.
    if (c["margin"].get<double>() < 1) continue;
    CAPTURE(c["name"].get<std::string>());
    const auto prompt = c["prompt_ids"].get<std::vector<TokenId>>(),
               ids = c["ids"].get<std::vector<TokenId>>();
    CHECK(engine.model().tokenizer().encode(c["prompt"].get<std::string>(), {.parse_special = true}) ==
          prompt);
    Session session(engine);
    session.append(prompt);
    const Generation g =
        session.generate("", {.max_tokens = static_cast<std::uint32_t>(ids.size()), .temperature = 0});
    std::vector<TokenId> got;
    for (const GeneratedToken& token : g.tokens) got.push_back(token.token);
    CHECK(got == ids);
    CHECK(g.text == c["text"].get<std::string>());
  }
}

TEST_CASE("demo: logits of float activations equal the training code's") {
  const nlohmann::json expected = read_json(folder / "expected.json");
  const std::vector<float> logits = read_floats(folder / "expected.f32");
  const std::string backend = GENERATE("cpu", "reference");
  Engine engine(
      Model::open(folder / "demo.gguf"),
      {.backend = backend, .isa = backend == "cpu" ? "portable" : "", .threads = 2, .kv = KvType::F32});
  const std::size_t vocab = engine.model().plan().vocab_size;
  for (std::size_t i = 0; i < expected["cases"].size(); ++i) {
    const nlohmann::json& c = expected["cases"][i];
    CAPTURE(c["name"].get<std::string>());
    Session session(engine);
    session.append(c["prompt_ids"].get<std::vector<TokenId>>());
    // The training code's own float32 is within 1e-5 of its float64; ours is another order of the same
    // additions.
    CHECK(largest_difference(session.logits(), std::span(logits).subspan(i * vocab, vocab)) <= 1e-4);
  }
}

TEST_CASE("demo: routes a ticket and extracts a record") {
  Engine engine(Model::open(folder / "demo.gguf"));
  const std::string queue = answer(engine, "Ticket: I was charged twice for the kettle.\nQueue:");
  CHECK(queue == " billing\n");
  const std::string json = answer(engine, "Record: Please send three red kettles to Oslo.\nJSON:");
  CHECK(nlohmann::json::parse(json) ==
        nlohmann::json({{"item", "kettle"}, {"quantity", 3}, {"colour", "red"}, {"city", "Oslo"}}));
}

TEST_CASE("demo: an answer that stands in the prompt takes a quarter of the steps, and is the same") {
  Engine engine(Model::open(folder / "demo.gguf"), {.threads = 2});
  const std::string record = "Record: Please send three red kettles to Oslo.\nJSON:",
                    prompt = record + answer(engine, record) + "<|endoftext|>" + record;
  const auto generate = [&](std::uint32_t draft_tokens) {
    Session session(engine);
    return session.generate(
        prompt, {.max_tokens = 64, .temperature = 0, .draft_tokens = draft_tokens, .parse_special = true});
  };
  const Generation plain = generate(0), copied = generate(15);
  CHECK(copied.text == plain.text);
  CHECK(std::ranges::equal(copied.tokens, plain.tokens, [](const auto& a, const auto& b) {
    return a.token == b.token && a.logprob == b.logprob;
  }));
  CHECK(plain.accepted_tokens == 0);
  CHECK(4 * (copied.tokens.size() - copied.accepted_tokens) <= copied.tokens.size());
}
