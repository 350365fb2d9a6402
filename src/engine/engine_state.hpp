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
  // Errors: as Engine::step, of its inputs.
  std::size_t checked_rows(std::span<const StepInput> inputs) const;
  // Runs checked inputs chunk by chunk; unless it is to `keep`, sequences are then as they were.
  using RunBatch = std::function<void(const Batch&)>;
  void run(std::span<const StepInput> inputs, const RunBatch& run_batch, bool keep, const Progress& progress);
  void run(std::span<const StepInput> inputs, const OnLogits& on_logits, bool keep,
           const std::stop_token& stop, const Progress& progress);
  void run_ranked(const Batch& batch, const RankOptions& options, std::span<RankedRow> rows,
                  const std::stop_token& stop);
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
  std::vector<float> whole_rows;  // of a chunk whose rows are ranked here

 private:
  class Undo;
  void check(std::span<const StepInput> inputs) const;
  void fill(std::span<const StepInput> inputs, Piece& next);
  void run_chunk(std::span<const StepInput> inputs, std::span<const std::uint32_t> before,
                 const RunBatch& run_batch);
  void hand_out(std::span<const StepInput> inputs, std::span<const float> logits,
                const OnLogits& on_logits) const;
};

}  // namespace nibble::inline v0
