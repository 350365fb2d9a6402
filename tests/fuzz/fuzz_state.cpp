// Fuzzes Engine::restore: a state that is taken up says exactly what it said, any other changes nothing.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include <algorithm>
#include <cstring>

#include "fuzz/oracle.hpp"
#include "nibble/engine.hpp"
#include "src/engine/saved_state.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;

namespace {

constexpr std::size_t key_bytes = 40;  // magic to page bytes: what a state shares with its engine

// One engine for all inputs, and a sequence that refused states must leave as it is.
struct Target {
  Engine engine{
      test::open_tiny_model(
          {.layers = 1, .kv_heads = 1, .head_dim = 4, .embed_dim = 16, .ffn_dim = 16, .window = 10}),
      {.threads = 1, .kv = KvType::F16}};
  Sequence sequence = engine.make_sequence();
  std::vector<TokenId> tokens = std::vector<TokenId>(70, 5);
  std::vector<std::byte> before;

  Target() {
    const StepInput input{&sequence, tokens, Outputs::none};
    engine.step({&input, 1});
    before = engine.save(sequence, tokens);
  }

  // The first byte says how much of the way a mutation is helped: 1 gives it this engine's key, 2 a checksum.
  std::vector<std::byte> state(const std::uint8_t* data, std::size_t size) const {
    if (size == 0) return {};
    const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
    std::vector<std::byte> made(bytes.begin(), bytes.end());
    if ((data[0] & 1) != 0 && made.size() >= key_bytes) std::copy_n(before.begin(), key_bytes, made.begin());
    if ((data[0] & 2) != 0 && made.size() >= 8) seal_state(made);
    return made;
  }

  void take(const std::vector<std::byte>& state) {
    const SavedState saved = engine.restore(state, sequence, "input");
    fuzz::demand(engine.save(sequence, saved.tokens, saved.logits) == state);
    // Whatever its keys and values are, it can go on.
    if (sequence.length() < engine.options().context) {
      const StepInput next{&sequence, std::span(tokens).first(1)};
      engine.step({&next, 1});
    }
    engine.restore(before, sequence);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Target target;
  fuzz::only_errors([&] { target.take(target.state(data, size)); });
  fuzz::demand(target.engine.save(target.sequence, target.tokens) == target.before);
  return 0;
}
