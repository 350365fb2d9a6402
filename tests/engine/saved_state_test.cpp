// Saved sequences: bit-exact continuation, and refusal of every damaged or foreign state, nothing changed.
#include <cstring>
#include <random>

#include "nibble/engine.hpp"
#include "src/engine/saved_state.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Ids = std::vector<TokenId>;

Ids some_tokens(std::size_t n) {
  std::mt19937 random(3);
  Ids ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(3 + random() % 300);
  return ids;
}

std::vector<float> step(const Engine& engine, Sequence& sequence, std::span<const TokenId> tokens) {
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::last};
  return engine.step({&input, 1});
}

// A sequence of 70 tokens that a refused state must leave alone.
struct Victim {
  Engine engine;
  Sequence sequence = engine.make_sequence();
  Ids tokens = some_tokens(70);

  explicit Victim(const Model& model, const EngineOptions& options = {.threads = 1})
      : engine(model, options) {
    step(engine, sequence, tokens);
  }
  // The refusal of `state`; checks that the sequence goes on as if nothing had happened.
  Error refuses(std::span<const std::byte> state) {
    const std::vector<std::byte> before = engine.save(sequence, tokens);
    const Error e = thrown([&] { engine.restore(state, sequence); });
    CHECK(engine.save(sequence, tokens) == before);
    return e;
  }
};

// `state` with a number written over it and a checksum that fits.
template <class Number>
std::vector<std::byte> with(std::vector<std::byte> state, std::size_t at, Number number) {
  std::memcpy(state.data() + at, &number, sizeof number);
  seal_state(state);
  return state;
}

}  // namespace

TEST_CASE("a restored sequence goes on bit for bit, in another engine too") {
  for (const std::uint32_t window : {0u, 40u}) {
    for (const KvType kv : {KvType::F32, KvType::F16, KvType::BF16}) {
      for (const std::size_t n : {1u, 64u, 100u, 300u}) {
        CAPTURE(window, to_string(kv), n);
        const Model model = open_tiny_model({.window = window});
        const Engine engine(model, {.threads = 1, .batch = 48, .kv = kv});
        const Engine other(model, {.threads = 2, .batch = 100, .kv = kv});
        const Ids tokens = some_tokens(n);
        Sequence sequence = engine.make_sequence(), copy = other.make_sequence();
        const std::vector<float> logits = step(engine, sequence, tokens);
        step(other, copy, some_tokens(30));

        const std::vector<std::byte> state = engine.save(sequence, tokens, logits);
        const SavedState saved = other.restore(state, copy);
        CHECK(saved.tokens == tokens);
        CHECK(saved.logits == logits);
        CHECK(copy.length() == n);
        CHECK(other.save(copy, tokens, logits) == state);
        const Ids next = some_tokens(90);
        CHECK(step(engine, sequence, next) == step(other, copy, next));
      }
    }
  }
}

TEST_CASE("a windowed state holds no more than going on needs") {
  const Model model = open_tiny_model({.layers = 1, .window = 10});
  const Engine engine(model, {.threads = 1});
  Sequence sequence = engine.make_sequence();
  const Ids tokens = some_tokens(210);
  step(engine, sequence, tokens);
  // One page: (2, kv_heads, 64, head_dim) floats.
  CHECK(engine.save(sequence, tokens).size() ==
        56 + 210 * sizeof(TokenId) + 2 * 2 * 64 * 16 * sizeof(float) + 8);
  CHECK(engine.rewind(sequence, 0));
  CHECK(engine.save(sequence, {}).size() == 64);
}

TEST_CASE("what cannot be saved together is refused") {
  const Engine engine(open_tiny_model(), {.threads = 1, .context = 80});
  Sequence sequence = engine.make_sequence();
  const Ids tokens = some_tokens(81);
  const std::vector<float> logits = step(engine, sequence, std::span(tokens).first(70));
  CHECK(thrown([&] { engine.save(sequence, std::span(tokens).first(69)); }).field() == "tokens");
  CHECK(thrown([&] { engine.save(sequence, tokens); }).field() == "tokens");
  CHECK(thrown([&] { engine.save(sequence, std::span(tokens).first(71), logits); }).field() == "logits");
  CHECK(thrown([&] {
          engine.save(sequence, std::span(tokens).first(70), std::span(logits).first(9));
        }).field() == "logits");
}

TEST_CASE("malformed 87: a state of another version, model, layout or type is refused, nothing changed") {
  const Model model = open_tiny_model();
  Victim victim(model);
  const std::vector<std::byte> state = victim.engine.save(victim.sequence, victim.tokens);
  const auto refusal = [&](const std::vector<std::byte>& bytes, ErrorCode code, const char* position) {
    const Error e = victim.refuses(bytes);
    CHECK(e.code() == code);
    CHECK(e.position() == position);
    CHECK(e.source() == "saved state");
  };
  refusal(with(state, 0, 'N'), ErrorCode::bad_magic, "byte 0");
  refusal(with(state, 8, 1u), ErrorCode::state_mismatch, "byte 8");
  refusal(with(state, 12, 0u), ErrorCode::state_mismatch, "byte 12");
  refusal(with(state, 16, model.fingerprint() + 1), ErrorCode::state_mismatch, "byte 16");
  refusal(with(state, 24, 1ull), ErrorCode::state_mismatch, "byte 24");
  const std::uint64_t row = state.size();
  refusal(with(state, 32, row), ErrorCode::truncated, ("byte " + std::to_string(row)).c_str());
  refusal(with(state, 32, ~0ull), ErrorCode::truncated, ("byte " + std::to_string(row)).c_str());
  refusal(with(state, 40, 71u), ErrorCode::malformed, "byte 44");
  refusal(with(state, 40, 64u), ErrorCode::malformed, "byte 52");
  refusal(with(state, 40, 5000u), ErrorCode::context_overflow, "byte 40");
  refusal(with(state, 56, -1), ErrorCode::malformed, "byte 56");
  refusal(with(state, 56 + 4 * 69, model.plan().vocab_size), ErrorCode::malformed, "byte 332");
  std::vector<std::byte> longer = state;
  longer.push_back(std::byte{});
  refusal(longer, ErrorCode::malformed, ("byte " + std::to_string(state.size())).c_str());

  Victim half(model, {.threads = 1, .kv = KvType::F16});
  CHECK(half.refuses(state).position() == "byte 12");
  Victim small(model, {.threads = 1, .context = 70});
  const Ids tokens = some_tokens(71);
  step(victim.engine, victim.sequence, std::span(tokens).last(1));
  CHECK(small.refuses(victim.engine.save(victim.sequence, tokens)).code() == ErrorCode::context_overflow);
  Victim stranger(open_tiny_model({.seed = 2}));
  CHECK(stranger.refuses(state).position() == "byte 16");
  Victim reference(model, {.backend = "reference"});
  CHECK(reference.refuses(state).position() == "byte 24");
}

TEST_CASE("malformed 87: every changed byte and every truncation is refused, nothing changed") {
  const Model model =
      open_tiny_model({.layers = 1, .kv_heads = 1, .head_dim = 4, .embed_dim = 16, .ffn_dim = 16});
  Victim victim(model);
  const Ids tokens = some_tokens(5);
  std::vector<std::byte> state;
  {
    const Engine engine(model, {.threads = 1});
    Sequence sequence = engine.make_sequence();
    const std::vector<float> logits = step(engine, sequence, tokens);
    state = engine.save(sequence, tokens, logits);
  }
  const std::vector<std::byte> before = victim.engine.save(victim.sequence, victim.tokens);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < state.size(); ++i) {
    for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      state[i] ^= flip;
      refused += thrown([&] { victim.engine.restore(state, victim.sequence); }).code() != ErrorCode::internal;
      state[i] ^= flip;
    }
    refused += thrown([&] { victim.engine.restore(std::span(state).first(i), victim.sequence); }).code() ==
               ErrorCode::truncated;
  }
  CHECK(refused == 4 * state.size());
  CHECK(victim.engine.save(victim.sequence, victim.tokens) == before);
  CHECK(victim.engine.restore(state, victim.sequence).tokens == tokens);
}
