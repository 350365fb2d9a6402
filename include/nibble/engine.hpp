// A model made ready to run on one backend with its own settings, memory and KV pool.
// The level below Session: batches of tokens from several sequences in, logits out.
#pragma once

#include <cstddef>
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
  std::uint32_t batch = 512;            // tokens run together at most (65536); longer inputs go in chunks
  std::optional<KvType> kv = {};        // empty: F32 for a model whose matrices are all F32, else F16
  bool float64 = false;                 // reference backend: accumulate in double
  std::uint64_t memory_budget = ~0ull;  // bytes; a larger plan is refused
  Watch watch = {};                     // of loading; log lines of running go here too
};

// What an Engine takes, exactly, before it is made: the memory that grows with model and options. Bookkeeping
// (page tables, lists of tokens) comes on top, some hundred bytes a page.
struct EnginePlan {
  MemoryUse memory = {};
  std::uint32_t context = 0;
  std::uint32_t kv_pages = 0;
  std::uint32_t outputs = 0;  // rows of logits that one batch gives at most
  KvType kv_type = KvType::F16;
  std::string backend;                           // "cpu/portable"
  std::vector<WeightPlacement> placements = {};  // by WeightId
};

// One sequence of an engine. Move-only; returns its pages when destroyed. Must not outlive its Engine's last
// handle (it keeps one).
class NIBBLE_API Sequence {
 public:
  Sequence(Sequence&&) noexcept;
  Sequence& operator=(Sequence&&) noexcept;
  ~Sequence();
  std::uint32_t length() const noexcept;   // positions evaluated
  std::uint32_t drafted() const noexcept;  // and those after them that the last step tried
  // The first n drafted positions join the sequence; the next step or rewind forgets the others. Errors:
  // out_of_range.
  void accept(std::uint32_t n);

 private:
  friend class Engine;
  struct State;  // null once moved from
  explicit Sequence(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

enum class Outputs : std::uint8_t { none, last, all };  // which of the tokens want logits

// Tokens to append to one sequence.
struct StepInput {
  Sequence* sequence = nullptr;
  std::span<const TokenId> tokens = {};
  Outputs outputs = Outputs::last;
  std::uint32_t draft = 0;  // of the last tokens, guesses: only Sequence::accept makes them join
};

// What a saved state held besides the keys and values.
struct SavedState {
  std::vector<TokenId> tokens;
  std::vector<float> logits;  // (vocab_size) after the last token, or empty
};

// Receives one row of logits (vocab_size): of token number `token` of input number `input`. Must not call the
// engine.
using OnLogits = std::function<void(std::size_t input, std::size_t token, std::span<const float> logits)>;

// A cheap handle; all its methods may be called from any thread, one of them running at a time: the others
// wait.
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

  // Errors: limit (all sequences in use).
  Sequence make_sequence() const;
  // A second sequence with the same past, sharing its pages. Errors as make_sequence, invalid_argument.
  Sequence fork(const Sequence& sequence) const;
  // Forgets all positions from `length` on. False, and nothing happens, where a sliding window has dropped
  // what is needed to go on from there. Errors: out_of_range (beyond the sequence's length),
  // invalid_argument.
  bool rewind(Sequence& sequence, std::uint32_t length) const;

  // Appends each input's tokens to its sequence, in chunks of at most options().batch tokens in all, and
  // returns the wanted logits: (wanted rows in order of inputs, vocab_size). Each row's bits depend on its
  // sequence's tokens alone. All or nothing: on an error no sequence has changed. Errors: invalid_argument (a
  // token outside the vocabulary, a sequence twice or of another engine, more guesses than tokens),
  // context_overflow, limit (guesses in a step that is more than one batch), out_of_memory, cancelled (also
  // while waiting for another step), device_lost.
  std::vector<float> step(std::span<const StepInput> inputs, const std::stop_token& stop = {},
                          const Progress& progress = {}) const;
  // The same with rows in short, for Sampler: what a device ranks itself need not leave it. With
  // options.ahead it may go on meanwhile with the highest tokens, or drawn ones; that is no part of any
  // sequence until it is asked for. Errors as well: invalid_argument (options out of range).
  std::vector<RankedRow> step_ranked(std::span<const StepInput> inputs, const RankOptions& options,
                                     const std::stop_token& stop = {}, const Progress& progress = {}) const;
  // The same with rows handed out as chunks finish, where all of them at once would not fit.
  void step(std::span<const StepInput> inputs, const OnLogits& on_logits, const std::stop_token& stop = {},
            const Progress& progress = {}) const;
  // What step would hand out, the sequences staying as they are: for scoring texts.
  void probe(std::span<const StepInput> inputs, const OnLogits& on_logits, const std::stop_token& stop = {},
             const Progress& progress = {}) const;

  // A sequence's cached past as bytes: version, model fingerprint, KV layout, length, tokens, logits, the
  // pages that going on needs, checksum. `tokens` begin with those of the sequence and may go on; `logits`
  // are those after the last token, or nothing. Errors: invalid_argument.
  std::vector<std::byte> save(const Sequence& sequence, std::span<const TokenId> tokens,
                              std::span<const float> logits = {}) const;
  // The reverse: replaces what `into` holds. Errors: bad_magic, state_mismatch (another version, model,
  // backend or KV type), truncated, malformed (checksum, contents), context_overflow; each with the offset of
  // the field, and nothing has changed.
  SavedState restore(std::span<const std::byte> state, Sequence& into,
                     std::string_view source = "saved state") const;

 private:
  friend class Sequence;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nibble::inline v0
