// Rotary tables that depend on the context: one choice for each engine, and states that know which it was.
// Beside logits_test.cpp, which compares both choices with transformers.
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"

using namespace nibble;
using nibble::test::thrown;

namespace {

const std::filesystem::path fixtures = NIBBLE_SOURCE_DIR "/tests/parity/fixtures";

std::vector<float> frequencies(const Model& model, std::uint32_t context) {
  return model.plan(context).ropes.at(0).inverse_frequency;
}

}  // namespace

TEST_CASE("long context: the tables change where the original context ends, and only there") {
  const auto [name, original] = GENERATE(table<std::string, std::uint32_t>(
      {{"phi3-long/hf", 40}, {"phi3-long/model.gguf", 40}, {"phi4-mini/hf", 128}, {"llama-dynamic/hf", 40}}));
  CAPTURE(name);
  const Model model = Model::open(fixtures / name);
  CHECK(frequencies(model, 1) == frequencies(model, original));
  CHECK(frequencies(model, original + 1) != frequencies(model, original));
  const bool longrope = name.starts_with("phi");
  CHECK((frequencies(model, 500) == frequencies(model, 400)) == longrope);
}

TEST_CASE("long context: a state saved under other tables is refused") {
  const Model model = Model::open(fixtures / "phi3-long/model.gguf");
  const std::vector<TokenId> tokens{1, 2, 3};
  const Engine within(model, {.threads = 1, .context = 40, .sequences = 2}),
      beyond(model, {.threads = 1, .context = 41});
  Sequence sequence = within.make_sequence();
  const StepInput input{.sequence = &sequence, .tokens = tokens};
  within.step({&input, 1});
  const std::vector<std::byte> state = within.save(sequence, tokens, {});
  Sequence other = beyond.make_sequence();
  CHECK(thrown([&] { beyond.restore(state, other, "state"); }).code() == ErrorCode::state_mismatch);
  CHECK(other.length() == 0);
  Sequence again = within.make_sequence();
  CHECK(within.restore(state, again, "state").tokens == tokens);
}
