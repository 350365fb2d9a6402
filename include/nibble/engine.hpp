// A model made ready to run on one backend with its own settings, memory and KV pool.
// The level below Session: batches of tokens from several sequences in, logits out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/backend/backend.hpp"
#include "nibble/core/watch.hpp"
#include "nibble/model.hpp"

namespace nibble::inline v0 {

struct EngineOptions {
  std::string backend = "cpu";
  std::string isa = {};                 // CPU tier; empty: the best this CPU has
  std::uint32_t threads = 0;            // 0: one per CPU the process may use
  std::uint32_t context = 0;            // positions of each sequence; 0: the model's, at most 4096
  std::uint32_t sequences = 1;          // that exist at the same time
  std::uint32_t batch = 512;            // tokens run together at most; longer inputs go in chunks of it
  std::optional<KvType> kv = {};        // empty: F32 for a model whose matrices are all F32, else F16
  bool float64 = false;                 // reference backend: accumulate in double
  std::uint64_t memory_budget = ~0ull;  // bytes; a larger plan is refused
  Watch watch = {};                     // of loading; log lines of running go here too
};

// What an Engine takes, exactly, before it is made.
struct EnginePlan {
  MemoryUse memory = {};
  std::uint32_t context = 0;
  std::uint32_t kv_pages = 0;
  KvType kv_type = KvType::F16;
  std::string backend;  // "cpu/portable"
};

// One sequence of an engine. Move-only; returns its pages when destroyed. Must not outlive its Engine's last
// handle (it keeps one).
class NIBBLE_API Sequence {
 public:
  Sequence(Sequence&&) noexcept;
  Sequence& operator=(Sequence&&) noexcept;
  ~Sequence();
  std::uint32_t length() const noexcept;  // positions evaluated

 private:
  friend class Engine;
  struct State;
  explicit Sequence(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

enum class Outputs : std::uint8_t { none, last, all };  // which of the tokens want logits

// Tokens to append to one sequence.
struct StepInput {
  Sequence* sequence = nullptr;
  std::span<const TokenId> tokens = {};
  Outputs outputs = Outputs::last;
};

// A cheap handle; all its methods may be called from any thread, one step running at a time.
class NIBBLE_API Engine {
 public:
  // Errors: unsupported, invalid_argument, limit, no_device, out_of_memory (naming the largest consumers),
  // cancelled.
  explicit Engine(const Model& model, const EngineOptions& options = {});
  // The same checks and figures as the constructor, without taking anything.
  static EnginePlan plan(const Model& model, const EngineOptions& options = {});

  const Model& model() const noexcept;
  const EngineOptions& options() const noexcept;  // with the defaults filled in
  const EnginePlan& plan() const noexcept;
  WeightPlacement placement(WeightId id) const;

  // Errors: limit (all sequences in use).
  Sequence make_sequence();
  // A second sequence with the same past, sharing its pages. Errors as make_sequence, out_of_memory.
  Sequence fork(const Sequence& sequence);
  // Forgets all positions from `length` on. False where a sliding window has dropped what is needed to go on
  // from there.
  bool rewind(Sequence& sequence, std::uint32_t length);

  // Appends each input's tokens to its sequence, in chunks of at most options().batch tokens in all, and
  // returns the wanted logits: (wanted rows in order of inputs, vocab_size). Each row's bits depend on its
  // sequence's tokens alone. All or nothing: on an error no sequence has changed. Errors: invalid_argument (a
  // token outside the vocabulary, a sequence twice or of another engine), context_overflow, out_of_memory,
  // cancelled, device_lost.
  std::vector<float> step(std::span<const StepInput> inputs, const std::stop_token& stop = {},
                          const Progress& progress = {});
  // The same with rows handed out as chunks finish, where all of them at once would not fit:
  // on_logits(input, index of the token within it, (vocab_size)).
  void step(std::span<const StepInput> inputs,
            const std::function<void(std::size_t input, std::size_t token, std::span<const float> logits)>&
                on_logits,
            const std::stop_token& stop = {}, const Progress& progress = {});

  // A sequence's cached past as bytes: version, model fingerprint, KV layout, length, pages, checksum.
  std::vector<std::byte> save(const Sequence& sequence, std::span<const TokenId> tokens) const;
  // The reverse, into a new sequence; returns the saved tokens through `tokens`. Errors: state_mismatch
  // (another model, KV type or version), truncated, malformed (checksum), context_overflow, limit; nothing
  // has changed.
  Sequence restore(std::span<const std::byte> state, std::vector<TokenId>& tokens);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nibble::inline v0
