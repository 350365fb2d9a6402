// One conversation with a model: append text, generate text, go back, branch, save, restore.
// The level most hosts need; everything here is built on Engine::step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/watch.hpp"
#include "nibble/engine.hpp"
#include "nibble/sample/sampler.hpp"

namespace nibble::inline v0 {

struct GenerateOptions {
  std::uint32_t max_tokens = 256;
  // Sampling, as in SamplerOptions.
  float temperature = 0.8f;
  std::uint32_t top_k = 40;
  float top_p = 0.95f;
  float min_p = 0.05f;
  float typical_p = 1.0f;
  float repetition_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::uint32_t penalty_window = 64;
  std::map<std::int32_t, float> logit_bias = {};
  std::uint64_t seed = 0;

  // Tokens guessed from what has followed the same tokens before, in prompt or output, and evaluated in one
  // batch with the newest: at most this many, fewer where guesses have been wrong. Changes the speed alone,
  // no bit of what is generated. 0: none.
  std::uint32_t draft_tokens = 15;

  std::vector<std::string> stop = {};  // texts that end the generation, never handed out; see Limits
  bool ignore_end = false;             // go on past end-of-generation tokens
  bool parse_special = false;          // of the prompt
  Progress progress = {};              // of the prompt
};

enum class StopReason : std::uint8_t { end_token, stop_text, max_tokens, context_full, callback, cancelled };
NIBBLE_API std::string_view to_string(StopReason reason) noexcept;

struct GeneratedToken {
  TokenId token = 0;
  float logprob = 0;  // natural log, under the unmodified logits
};

struct Generation {
  std::string text;
  std::vector<GeneratedToken> tokens;
  StopReason reason = StopReason::max_tokens;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t drafted_tokens = 0;   // guesses tried, see GenerateOptions::draft_tokens
  std::uint32_t accepted_tokens = 0;  // of these, right ones
  double prompt_seconds = 0;
  double generate_seconds = 0;
};

// Receives text in whole characters; false stops.
using OnText = std::function<bool(std::string_view text)>;

// Move-only. Not thread-safe, but cancel() may be called from any thread.
class NIBBLE_API Session {
 public:
  // Errors: limit (the engine's sequences are all in use).
  explicit Session(const Engine& engine);

  // Tokenises and evaluates text; the first text of a session gets the model's BOS. Appending nothing
  // evaluates what generate() or rewind() left to do. Errors: those of Tokenizer::encode and Engine::step:
  // context_overflow (nothing is cut), cancelled, out_of_memory; nothing has changed.
  void append(std::string_view text, bool parse_special = false, const Progress& progress = {});
  void append(std::span<const TokenId> tokens, const Progress& progress = {});

  // Appends `prompt`, then generates. An empty prompt continues. The tokens returned, an end token included,
  // have joined the session; the last of them is evaluated by the next call. A full context ends the
  // generation with StopReason::context_full, a cancel() with StopReason::cancelled. Errors: those of append
  // (as well a cancel() while the prompt is evaluated) and Sampler, invalid_argument and limit (stop texts,
  // an empty session and prompt where the model has no BOS): nothing has changed. Should the model fail
  // later, the session keeps what it has generated so far. An exception from on_text ends the generation in
  // the same way and reaches the caller.
  Generation generate(std::string_view prompt, const GenerateOptions& options = {},
                      const OnText& on_text = {});

  // The natural-log probability of each of `text`'s tokens after what the session holds; in an empty session
  // after BOS, or but for the first token where the model has none. The session is unchanged. Errors: those
  // of append.
  std::vector<GeneratedToken> score(std::string_view text);

  // Every token of the session so far, prompt and output.
  std::span<const TokenId> tokens() const noexcept;
  // Logits after the last token (vocab_size); empty before the first, and where the last token is not yet
  // evaluated: after generate() and rewind().
  std::span<const float> logits() const noexcept;

  // Forgets all tokens from `length` on. The next call evaluates again what that takes: the last token that
  // is left, and where a sliding window has dropped its past, that too. Errors: out_of_range.
  void rewind(std::uint32_t length);
  // A second session with the same past. Errors: limit, out_of_memory.
  Session fork() const;

  // Saved states are files written whole or not at all. Errors: io; restore also those of Engine::restore,
  // the session unchanged.
  void save(const std::filesystem::path& path) const;
  void restore(const std::filesystem::path& path);

  // Ends the running append, generate or score (ErrorCode::cancelled / StopReason::cancelled) within 50 ms,
  // and none later.
  void cancel() noexcept;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state) noexcept;

 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

 private:
  std::unique_ptr<State> state_;
};

}  // namespace nibble::inline v0
