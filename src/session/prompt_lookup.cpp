// Prompt lookup: a table from the hash of the newest 8, 4 or 2 tokens to what followed them last.
// See prompt_lookup.hpp.
#include "src/session/prompt_lookup.hpp"

#include <algorithm>
#include <bit>

namespace nibble::inline v0 {

void PromptLookup::reserve(std::size_t n_tokens) {
  if (most_ == 0) return;
  guess_.reserve(most_ + 1);
  next_.resize(std::bit_ceil(8 * n_tokens + 1));
}

std::span<const TokenId> PromptLookup::draft(std::span<const TokenId> tokens, std::size_t room) noexcept {
  if (next_.empty()) return {};
  judge(tokens);
  learn(tokens);
  const std::size_t from = find(tokens);
  // A guess that reaches its own beginning goes on with itself: a loop.
  for (std::size_t i = from; from > 0 && guess_.size() <= most_; ++i)
    guess_.push_back(i < tokens.size() ? tokens[i] : guess_[i - tokens.size()]);
  guessed_at_ = tokens.size();
  tried_ = std::min({room, credit_, guess_.size()});
  return std::span(guess_).first(tried_);
}

// The table is larger than the text; where two ends share a slot all the same, the newer one has it.
std::uint32_t& PromptLookup::slot(std::span<const TokenId> end) noexcept {
  std::uint64_t hash = end.size();
  for (const TokenId token : end) hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9e3779b97f4a7c15;
  return next_[(hash >> 32) & (next_.size() - 1)];
}

// Compares the last guess with what came.
void PromptLookup::judge(std::span<const TokenId> tokens) noexcept {
  const auto came = tokens.subspan(std::min(guessed_at_, tokens.size()));
  const auto first_wrong = std::ranges::mismatch(guess_, came).in1;
  const auto right = static_cast<std::size_t>(first_wrong - guess_.begin());
  credit_ = std::min(most_, credit_ + right - (tried_ - std::min(tried_, right)));
  guess_.clear();
}

// All but the newest token, after which nothing has come yet.
void PromptLookup::learn(std::span<const TokenId> tokens) noexcept {
  for (; learnt_ + 1 < tokens.size(); ++learnt_)
    for (const std::size_t n : lengths)
      if (learnt_ + 1 >= n)
        slot(tokens.subspan(learnt_ + 1 - n, n)) = static_cast<std::uint32_t>(learnt_ + 1);
}

// Where the longest end of the text that has been there before went on; or 0.
std::size_t PromptLookup::find(std::span<const TokenId> tokens) noexcept {
  for (const std::size_t n : lengths) {
    if (tokens.size() < n) continue;
    const auto end = tokens.last(n);
    const std::size_t at = slot(end);
    if (at >= n && at < tokens.size() && std::ranges::equal(tokens.subspan(at - n, n), end)) return at;
  }
  return 0;
}

}  // namespace nibble::inline v0
