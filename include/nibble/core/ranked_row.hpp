// A row of logits in short: its highest, and what log-probabilities take of all the others.
// Made where the row is, by a backend or by rank(); what Sampler draws from without the row itself.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace nibble::inline v0 {

inline constexpr std::uint32_t most_ranked = 64;
inline constexpr std::uint32_t most_foreseen = 64;

// How Sampler will draw from a row, and from those after it in the same sequence: each by a number in [0, 1).
struct ForeseenDraws {
  float temperature = 0;  // 0: the highest
  std::uint32_t top_k = 0;
  float top_p = 1, min_p = 0;
  std::array<double, most_foreseen> uniforms = {};
  friend bool operator==(const ForeseenDraws&, const ForeseenDraws&) = default;
};

struct RankOptions {
  std::uint32_t n = 1;  // how many of the highest, 1 to most_ranked: the most that a row's sampler needs
  std::uint32_t n_tokens = 0;  // among the tokens below this, which is in the vocabulary
  // The caller means to go on with each row's highest token, or with what is drawn from it: a backend may
  // begin that step unasked. It is thrown away where another one comes, and changes nothing but the speed.
  bool ahead = false;
  std::span<const ForeseenDraws> draws = {};  // one a row, or none: then the highest
};

struct RankedToken {
  float logit = 0;
  std::int32_t token = 0;
};

// NaN counts as -infinity, +infinity as the largest float.
struct RankedRow {
  std::vector<RankedToken> highest = {};  // n, or all above -infinity; of equals the lower first
  float top = -std::numeric_limits<float>::infinity();  // the highest of the whole vocabulary
  double sum = 0;                                       // of e^(logit - top) over all of it, within 1e-6
  bool ahead = false;  // the step that goes on has begun, as RankOptions::ahead allowed
};

}  // namespace nibble::inline v0
