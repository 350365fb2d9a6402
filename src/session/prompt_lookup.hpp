// Guesses how a text goes on: as it did the last time its newest tokens stood in it.
// Beside Session::generate, which tries the guesses in one batch and keeps those that the sampler draws too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

// Each token takes a few hashes, and no call but reserve() allocates.
//
// How long a draft may be is a credit: a wrong guess takes one off, a right one adds one, or half of one
// while nothing is tried. Text that never repeats itself costs the first few guesses and nothing more; where
// guesses are right by chance only and each costs 0.3 of a step, the loss stays below 2 % whatever that
// chance is.
class PromptLookup {
 public:
  // Drafts of at most `most` tokens.
  explicit PromptLookup(std::uint32_t most) noexcept
      : most_(most), credit_(2 * std::min<std::size_t>(most, 3)) {}

  // Room for a text of `n_tokens`; without it there are no guesses.
  void reserve(std::size_t n_tokens);
  // What to try after `tokens`, at most `room` of them. `tokens` are those of the last call and what has
  // followed since, from which it learns how good its guess was.
  std::span<const TokenId> draft(std::span<const TokenId> tokens, std::size_t room) noexcept;
  // Whether it would have tried a guess after those tokens, given room.
  bool has_guess() const noexcept { return !guess_.empty() && credit_ >= 2; }

 private:
  static constexpr std::array<std::size_t, 3> lengths{8, 4, 2};  // of the ends looked for, longest first

  std::uint32_t& slot(std::span<const TokenId> end) noexcept;
  void judge(std::span<const TokenId> tokens) noexcept;
  void learn(std::span<const TokenId> tokens) noexcept;
  std::size_t find(std::span<const TokenId> tokens) noexcept;

  std::size_t most_, credit_;        // credit_ in halves
  std::vector<std::uint32_t> next_;  // by hash of some tokens: where their newest occurrence goes on; or 0
  std::size_t learnt_ = 0;           // tokens that are in next_
  std::vector<TokenId> guess_;       // one more than is tried: the token after a draft can be judged too
  std::size_t guessed_at_ = 0;       // tokens there were then
  std::size_t tried_ = 0;            // of the guess
};

}  // namespace nibble::inline v0
