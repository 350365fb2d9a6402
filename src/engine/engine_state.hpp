// What the handles of one engine share, and the running of steps in chunks.
// Behind Engine and Sequence; every member but the constants is used under the turn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/engine.hpp"
#include "src/engine/saved_state.hpp"
#include "src/engine/settings.hpp"
#include "src/engine/turn.hpp"

namespace nibble::inline v0 {

struct Sequence::State {
  std::shared_ptr<Engine::State> engine;
  KvSequence kv;
};

// Some tokens of one input, in a chunk.
struct Piece {
  std::size_t input = 0;
  std::size_t from = 0, n = 0;
};

// A batch being put together; its vectors are reused from step to step.
struct Chunk {
  std::vector<Piece> pieces;
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> positions, sequence, outputs;
  std::vector<BatchSequence> sequences;

  void clear() noexcept;
};

struct Engine::State {
  State(const Model& model, const EngineOptions& options);

  Sequence::State& own(const Sequence* sequence) const;
  void check_free() const;  // errors: limit
  std::vector<float> run(std::span<const StepInput> inputs, const OnLogits& on_logits, bool keep,
                         const std::stop_token& stop, const Progress& progress);
  std::vector<std::byte> save(const KvSequence& kv, std::span<const TokenId> tokens,
                              std::span<const float> logits) const;
  void restore(const StateParts& parts, KvSequence& into);
  StateKey state_key() const;

  Model model;
  EngineSettings settings;
  KvCache cache;
  Turn turn;
  std::uint32_t n_sequences = 0;
  Chunk chunk;

 private:
  class Undo;
  void check(std::span<const StepInput> inputs) const;
  void fill(std::span<const StepInput> inputs, Piece& next);
  void run_chunk(std::span<const StepInput> inputs, std::span<const std::uint32_t> before,
                 std::span<float> logits, const std::stop_token& stop);
  void hand_out(std::span<const StepInput> inputs, std::span<const float> logits,
                const OnLogits& on_logits) const;
};

}  // namespace nibble::inline v0
