// Logits to the next token: bias, penalties, truncations and temperature, with a random generator of its own.
// Last stage before text. Deterministic: the same logits, history, options and seed give the same token
// everywhere, for nothing but IEEE additions, multiplications and divisions decides it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/core/ranked_row.hpp"

namespace nibble::inline v0 {

// Applied in this order: bias, penalties, top_k, typical_p, top_p, min_p, temperature, draw. Each truncation
// keeps at least one token and sees the probabilities that the ones before it left, at temperature 1.
struct SamplerOptions {
  float temperature = 0.8f;  // 0: greedy (the highest logit, the lowest id among equals)
  std::uint32_t top_k = 40;  // 0: off
  float top_p = 0.95f;       // 1: off
  float min_p = 0.05f;       // 0: off
  float typical_p = 1.0f;    // 1: off
  // 1: off; divides the positive logits of seen tokens and multiplies the negative ones.
  float repetition_penalty = 1.0f;
  float presence_penalty = 0.0f;                  // subtracted once from each seen token
  float frequency_penalty = 0.0f;                 // subtracted for each occurrence
  std::uint32_t penalty_window = 64;              // tokens of history that count as seen; 0: none
  std::map<std::int32_t, float> logit_bias = {};  // added; -infinity forbids
  std::uint64_t seed = 0;
};

struct Sample {
  std::int32_t token = 0;
  float logprob = 0;  // natural log of the token's probability under the unmodified logits
};

class NIBBLE_API Sampler {
 public:
  // Errors: invalid_argument (NaN, infinite or out-of-range options; a bias for a token outside the
  // vocabulary).
  explicit Sampler(SamplerOptions options, std::uint32_t vocab_size);

  // `logits` (vocab_size), `history` the tokens so far, newest last. NaN counts as -infinity. Errors:
  // invalid_argument (every token is at -infinity, the extent is wrong, a token of the penalty window is
  // outside the vocabulary); the generator has not moved.
  Sample sample(std::span<const float> logits, std::span<const std::int32_t> history);

  // What sample() needs of a row; nothing: all of it, for penalties, biases (but -infinity for the last
  // tokens) or too large a top_k.
  std::optional<RankOptions> ranking() const noexcept;
  // The same token as of the whole row, and its log-probability within 1e-6; `row` is as ranking() says, or
  // has more.
  Sample sample(const RankedRow& row);
  // How it will draw from the next rows, which ranking() allows to be in short; the generator does not move.
  // Nothing: in a way that no backend foresees, with typical_p or without top_k.
  std::optional<ForeseenDraws> foresee() const noexcept;

  const SamplerOptions& options() const noexcept { return options_; }

 private:
  struct Candidate {
    float logit;
    std::int32_t token;
    double weight = 0;  // exp(logit - the highest logit): a probability, not yet divided by their sum
  };
  void apply_bias_and_penalties(std::span<const float> logits, std::span<const std::int32_t> history);
  void truncate();
  std::int32_t draw();

  SamplerOptions options_;
  std::uint32_t vocab_size_;
  std::array<std::uint64_t, 4> random_;  // xoshiro256**
  std::vector<float> logits_;            // (vocab_size), after bias and penalties
  std::vector<Candidate> candidates_;    // at most vocab_size, reused
  std::vector<std::uint32_t> counts_;    // (vocab_size), of tokens in the penalty window; zero between calls
};

// A row in short. Errors: invalid_argument (more tokens than logits, n out of range).
NIBBLE_API RankedRow rank(std::span<const float> logits, const RankOptions& options);

// log(softmax(logits))[token], within 1e-6: terms in float, sums in double; NaN logits count as -infinity.
// Errors: invalid_argument (a token outside the logits, or no logit above -infinity).
NIBBLE_API double log_probability(std::span<const float> logits, std::int32_t token);

}  // namespace nibble::inline v0
