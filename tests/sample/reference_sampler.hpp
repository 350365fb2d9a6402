// The sampler's chain as its documentation says it, with full sorts and long doubles: what sampler.cpp must
// equal token by token.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <span>
#include <vector>

#include "nibble/sample/sampler.hpp"

namespace nibble::test {

struct Choice {
  std::int32_t token;
  float logit;
  long double probability = 0;
};

inline bool higher(const Choice& a, const Choice& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

inline void normalise(std::vector<Choice>& choices, long double temperature) {
  const float top = std::min_element(choices.begin(), choices.end(), higher)->logit;
  long double sum = 0;
  for (Choice& c : choices)
    sum += c.probability = std::exp((static_cast<long double>(c.logit) - top) / temperature);
  for (Choice& c : choices) c.probability /= sum;
}

inline void keep_mass(std::vector<Choice>& choices, long double mass) {
  long double sum = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if ((sum += choices[i].probability) >= mass) return choices.resize(i + 1);
  }
}

// What can be drawn, with its probabilities, in the order in which a draw walks over it.
inline std::vector<Choice> reference_choices(const SamplerOptions& o, std::span<const float> logits,
                                             std::span<const std::int32_t> history) {
  std::vector<Choice> choices;
  std::map<std::int32_t, int> seen;
  for (const std::int32_t t : history.last(std::min<std::size_t>(o.penalty_window, history.size())))
    ++seen[t];
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<std::int32_t>(i);
    float logit = logits[i];
    if (o.logit_bias.contains(token)) logit += o.logit_bias.at(token);
    if (seen.contains(token)) {
      logit = logit > 0 ? logit / o.repetition_penalty : logit * o.repetition_penalty;
      logit -= o.presence_penalty + o.frequency_penalty * static_cast<float>(seen[token]);
    }
    if (!std::isnan(logit) && logit != -INFINITY) choices.push_back({token, logit});
  }
  if (o.top_k != 0 && o.top_k < choices.size()) {
    std::sort(choices.begin(), choices.end(), higher);
    choices.resize(o.top_k);
  }
  if (o.typical_p < 1) {
    normalise(choices, 1);
    long double entropy = 0;
    for (const Choice& c : choices)
      if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
    std::sort(choices.begin(), choices.end(), [&](const Choice& a, const Choice& b) {
      return std::abs(-std::log(a.probability) - entropy) < std::abs(-std::log(b.probability) - entropy);
    });
    keep_mass(choices, o.typical_p);
  }
  if (o.top_p < 1) {
    normalise(choices, 1);
    std::sort(choices.begin(), choices.end(), higher);
    keep_mass(choices, o.top_p);
  }
  if (o.min_p > 0) {
    normalise(choices, 1);
    const long double top = std::min_element(choices.begin(), choices.end(), higher)->probability;
    std::erase_if(choices, [&](const Choice& c) { return c.probability < o.min_p * top; });
  }
  normalise(choices, o.temperature);
  return choices;
}

// xoshiro256** seeded by splitmix64, from their published definitions.
class ReferenceRandom {
 public:
  explicit ReferenceRandom(std::uint64_t seed) {
    for (std::uint64_t& word : s_) {
      std::uint64_t z = (seed += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }
  std::uint64_t operator()() {
    const std::uint64_t result = std::rotl(s_[1] * 5, 7) * 9, t = s_[1] << 17;
    s_[2] ^= s_[0];
    s_[3] ^= s_[1];
    s_[1] ^= s_[2];
    s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = std::rotl(s_[3], 45);
    return result;
  }
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }

 private:
  std::uint64_t s_[4];
};

}  // namespace nibble::test
