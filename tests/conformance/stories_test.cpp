// A real trained model against the logits and text of an independent program.
// Needs NIBBLE_CONFORMANCE_DIR; says so where it is absent.
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

const std::filesystem::path models = std::filesystem::path(NIBBLE_CONFORMANCE_DIR) / "models";

bool present() {
  if (exists(models / "stories260K.gguf")) return true;
  WARN("NOT RUN: NIBBLE_CONFORMANCE_DIR holds no models/stories260K.gguf");
  return false;
}

std::vector<float> logits_of(const Model& model, const std::vector<TokenId>& tokens,
                             const EngineOptions& options) {
  Engine engine(model, options);
  Sequence sequence = engine.make_sequence();
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::all};
  return engine.step({&input, 1});
}

}  // namespace

TEST_CASE("stories260K: logits within 5e-4 at every position, bit for bit over threads and chunks") {
  if (!present()) return;
  const nlohmann::json expected = read_json(models / "stories260K.prompt.json");
  auto tokens = expected["sequence"].get<std::vector<TokenId>>();
  tokens.resize(expected["logit_rows"].get<std::size_t>());
  const Model model = Model::open(models / "stories260K.gguf");
  const std::vector<float> first = logits_of(model, tokens, {.threads = 1});
  CHECK(largest_difference(first, read_floats(models / "stories260K.prompt.logits.f32")) <= 5e-4);
  for (std::uint32_t threads : {1u, 2u, 3u}) {
    for (std::uint32_t batch : {1u, 7u, 32u, 512u}) {
      CAPTURE(threads, batch);
      CHECK(logits_of(model, tokens, {.threads = threads, .batch = batch}) == first);
    }
  }
}

TEST_CASE("stories260K: greedy text is the expected continuation") {
  if (!present()) return;
  const nlohmann::json expected = read_json(models / "stories260K.prompt.json");
  const auto sequence = expected["sequence"].get<std::vector<TokenId>>();
  const auto prompt = expected["prompt_tokens"].get<std::vector<TokenId>>();
  Engine engine(Model::open(models / "stories260K.gguf"));
  Session session(engine);
  const GenerateOptions options{.max_tokens = static_cast<std::uint32_t>(sequence.size() - prompt.size()),
                                .temperature = 0};
  const std::string text = session.generate(expected["prompt"].get<std::string>(), options).text;
  CHECK(std::vector<TokenId>(session.tokens().begin(), session.tokens().end()) == sequence);
  CHECK(expected["prompt"].get<std::string>() + text == expected["text"].get<std::string>());
}
