// Sampler: the chain from logits to one token, without sorting more of the vocabulary than a step needs.
// Last stage before text; the order of the steps is SamplerOptions' comment.
#include "nibble/sample/sampler.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "src/core/exponential.hpp"

namespace nibble::inline v0 {
namespace {

constexpr float forbidden = -std::numeric_limits<float>::infinity();

Error bad_argument(std::string field, std::string found, std::string allowed) {
  return Error({.code = ErrorCode::invalid_argument,
                .source = "sampler",
                .field = std::move(field),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

void check(const char* field, float value, bool valid, const char* allowed) {
  if (!std::isfinite(value) || !valid) throw bad_argument(field, std::to_string(value), allowed);
}

void check(const SamplerOptions& o, std::uint32_t vocab_size) {
  check("temperature", o.temperature, o.temperature >= 0, "0 or more");
  check("top_p", o.top_p, o.top_p >= 0 && o.top_p <= 1, "0 to 1");
  check("min_p", o.min_p, o.min_p >= 0 && o.min_p <= 1, "0 to 1");
  check("typical_p", o.typical_p, o.typical_p >= 0 && o.typical_p <= 1, "0 to 1");
  check("repetition_penalty", o.repetition_penalty, o.repetition_penalty > 0, "more than 0");
  check("presence_penalty", o.presence_penalty, true, "a finite number");
  check("frequency_penalty", o.frequency_penalty, true, "a finite number");
  for (const auto& [token, bias] : o.logit_bias) {
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocab_size)
      throw bad_argument("logit_bias", "token " + std::to_string(token),
                         "tokens below " + std::to_string(vocab_size));
    if (bias != forbidden) check("logit_bias", bias, true, "finite numbers and -infinity");
  }
}

// splitmix64 (public domain, Vigna): spreads one seed over the generator's state, never all zero.
std::uint64_t split_mix(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// xoshiro256** (public domain, Blackman and Vigna), as a number in [0, 1) with 53 random bits.
double next_uniform(std::array<std::uint64_t, 4>& s) noexcept {
  const std::uint64_t result = std::rotl(s[1] * 5, 7) * 9;
  const std::uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return static_cast<double>(result >> 11) * 0x1p-53;
}

// Infinities would make NaN of differences: +infinity is the largest float, NaN is forbidden.
float tame(float logit) noexcept {
  constexpr float most = std::numeric_limits<float>::max();
  const float capped = logit > most ? most : logit;
  return capped == capped ? capped : forbidden;
}

// The highest of some logits; forbidden where there is none. Many maxima side by side are what compilers
// make vector operations of; a comparison with NaN keeps what was there.
float highest(std::span<const float> logits) noexcept {
  constexpr std::size_t width = 64;
  std::array<float, width> best;
  best.fill(forbidden);
  std::size_t i = 0;
  for (; i + width <= logits.size(); i += width)
    for (std::size_t j = 0; j < width; ++j) best[j] = logits[i + j] > best[j] ? logits[i + j] : best[j];
  for (; i < logits.size(); ++i) best[0] = logits[i] > best[0] ? logits[i] : best[0];
  return tame(*std::ranges::max_element(best));
}

// A strict total order, so that the result depends on no library's way of sorting.
constexpr auto higher = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

// Fills `candidates` with the `n` highest that are possible, sorted; in order of their ids where there are no
// more. One pass: what may be among them collects until there are four times as many, and is then cut back to
// n; nearly all of a vocabulary fails one comparison. Among equals the lower id is in, and so comes first.
template <class Candidates>
void keep_highest(std::span<const float> logits, std::size_t n, Candidates& candidates) {
  candidates.clear();
  float least = forbidden;
  const auto cut = [&] {
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(candidates.begin(), last, candidates.end(), higher);
    least = last->logit;
    candidates.resize(n);
  };
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > least)) continue;
    candidates.push_back({tame(logits[i]), static_cast<std::int32_t>(i)});
    if (candidates.size() == 4 * n) cut();
  }
  if (candidates.size() > n) cut();
  if (least != forbidden) std::sort(candidates.begin(), candidates.end(), higher);
}

// The sum of e^(logit - top). Arguments, then terms, then their sums, 64 at a time: compilers vectorise each,
// not all at once. What lies below exp(-87), NaN among it, counts as that: nothing beside the highest, which
// is 1.
double sum_of_terms(std::span<const float> logits, float top) noexcept {
  constexpr float least = -87.0f;
  std::array<float, 64> terms;
  std::array<double, 8> sums{};
  for (std::size_t from = 0; from < logits.size(); from += terms.size()) {
    const std::size_t n = std::min(terms.size(), logits.size() - from);
    terms.fill(least);
    for (std::size_t i = 0; i < n; ++i) {
      const float below = logits[from + i] - top, x = below > least ? below : least;
      terms[i] = x < 0 ? x : 0;
    }
    for (float& term : terms) term = exp_of_nonpositive(term);
    for (std::size_t i = 0; i < terms.size(); ++i) sums[i % sums.size()] += terms[i];
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

Error none_possible() {
  return bad_argument("logits", "no token above -infinity", "at least one possible token");
}

template <class Candidates>
double total_weight(const Candidates& candidates) noexcept {
  double sum = 0;
  for (const auto& c : candidates) sum += c.weight;
  return sum;
}

template <class Candidates>
void weigh(Candidates& candidates, double temperature) noexcept {
  const float top = std::min_element(candidates.begin(), candidates.end(), higher)->logit;
  for (auto& c : candidates)
    c.weight = exp_of_nonpositive((static_cast<double>(c.logit) - top) / temperature);
}

// Keeps the shortest prefix, in the order of `before`, whose weights reach `wanted`; sorts a growing front
// part rather than everything.
template <class Candidates, class Before>
void keep_mass(Candidates& candidates, double wanted, Before before) {
  const auto begin = candidates.begin();
  double sum = 0;
  for (std::ptrdiff_t from = 0, n = std::ssize(candidates), part = 64; from < n; part *= 4) {
    const std::ptrdiff_t to = std::min(from + part, n);
    if (to < n) std::nth_element(begin + from, begin + to, candidates.end(), before);
    std::sort(begin + from, begin + to, before);
    for (; from < to; ++from) {
      sum += begin[from].weight;
      if (sum >= wanted) return candidates.resize(static_cast<std::size_t>(from + 1));
    }
  }
}

}  // namespace

Sampler::Sampler(SamplerOptions options, std::uint32_t vocab_size)
    : options_(std::move(options)), vocab_size_(vocab_size) {
  translate_errors([&] {
    check(options_, vocab_size);
    logits_.resize(vocab_size);
    candidates_.reserve(vocab_size);
    counts_.resize(vocab_size);
  });
  std::uint64_t state = options_.seed;
  for (std::uint64_t& word : random_) word = split_mix(state);
}

Sample Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> history) {
  return translate_errors([&] {
    apply_bias_and_penalties(logits, history);
    const float top = highest(logits_);
    if (top == forbidden) throw none_possible();
    std::int32_t token = 0;
    if (options_.temperature == 0) {
      token = static_cast<std::int32_t>(std::ranges::find(logits_, top) - logits_.begin());
    } else {
      keep_highest(logits_, options_.top_k != 0 ? options_.top_k : vocab_size_, candidates_);
      truncate();
      token = draw();
    }
    return Sample{token, static_cast<float>(log_probability(logits, token))};
  });
}

std::optional<RankOptions> Sampler::ranking() const noexcept {
  const SamplerOptions& o = options_;
  if (o.penalty_window != 0 &&
      (o.repetition_penalty != 1 || o.presence_penalty != 0 || o.frequency_penalty != 0))
    return {};
  std::uint32_t n_tokens = vocab_size_;
  for (auto bias = o.logit_bias.rbegin(); bias != o.logit_bias.rend(); ++bias, --n_tokens)
    if (bias->second != forbidden || static_cast<std::uint32_t>(bias->first) + 1 != n_tokens) return {};
  // One more than are kept says whether there are more.
  const std::uint64_t wanted = o.temperature == 0 ? 1
                               : o.top_k == 0     ? vocab_size_
                                                  : std::uint64_t{o.top_k} + 1;
  const std::uint64_t n = std::min<std::uint64_t>(wanted, n_tokens);
  if (n == 0 || n > most_ranked) return {};
  return RankOptions{static_cast<std::uint32_t>(n), n_tokens};
}

Sample Sampler::sample(const RankedRow& row) {
  return translate_errors([&] {
    if (row.highest.empty()) throw none_possible();
    std::int32_t token = row.highest.front().token;
    if (options_.temperature != 0) {
      candidates_.clear();
      for (const RankedToken& ranked : row.highest) candidates_.push_back({ranked.logit, ranked.token});
      // As keep_highest() leaves them.
      if (options_.top_k != 0 && candidates_.size() > options_.top_k)
        candidates_.resize(options_.top_k);
      else
        std::ranges::sort(candidates_, {}, &Candidate::token);
      truncate();
      token = draw();
    }
    const auto chosen = std::ranges::find(row.highest, token, &RankedToken::token);
    return Sample{token,
                  static_cast<float>(static_cast<double>(chosen->logit) - row.top - std::log(row.sum))};
  });
}

std::optional<ForeseenDraws> Sampler::foresee() const noexcept {
  const SamplerOptions& o = options_;
  if (o.temperature == 0) return ForeseenDraws{};
  if (o.top_k == 0 || o.typical_p < 1) return {};
  ForeseenDraws draws{.temperature = o.temperature, .top_k = o.top_k, .top_p = o.top_p, .min_p = o.min_p};
  auto random = random_;
  for (double& uniform : draws.uniforms) uniform = next_uniform(random);
  return draws;
}

// Fills logits_.
void Sampler::apply_bias_and_penalties(std::span<const float> logits, std::span<const std::int32_t> history) {
  if (logits.size() != vocab_size_)
    throw bad_argument("logits", std::to_string(logits.size()), std::to_string(vocab_size_));
  const auto seen = history.last(std::min<std::size_t>(history.size(), options_.penalty_window));
  for (const std::int32_t token : seen)
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocab_size_)
      throw bad_argument("history", "token " + std::to_string(token),
                         "tokens below " + std::to_string(vocab_size_));

  std::ranges::transform(logits, logits_.begin(), tame);
  for (const auto& [token, bias] : options_.logit_bias) {
    float& logit = logits_[static_cast<std::size_t>(token)];
    logit = tame(logit + bias);
  }

  for (const std::int32_t token : seen) ++counts_[static_cast<std::size_t>(token)];
  for (const std::int32_t token : seen) {
    const auto i = static_cast<std::size_t>(token);
    if (counts_[i] == 0) continue;  // an earlier occurrence has been through here
    float& logit = logits_[i];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    logit -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(counts_[i]);
    logit = tame(logit);
    counts_[i] = 0;
  }
}

void Sampler::truncate() {
  if (options_.typical_p == 1 && options_.top_p == 1 && options_.min_p == 0) return;
  weigh(candidates_, 1.0);

  if (options_.typical_p < 1) {
    // |surprise - entropy|: the logarithm of the sum of weights is in both and cancels.
    const double sum = total_weight(candidates_);
    double mean = 0;
    for (const Candidate& c : candidates_) mean += c.weight * c.logit;
    mean /= sum;
    keep_mass(candidates_, options_.typical_p * sum, [mean](const Candidate& a, const Candidate& b) {
      const double from_a = std::abs(a.logit - mean), from_b = std::abs(b.logit - mean);
      return from_a != from_b ? from_a < from_b : a.token < b.token;
    });
  }
  if (options_.top_p < 1) {
    // All candidates below this share of the weight hold less than what may be left out: no need to sort
    // them.
    const double rest = (1.0 - options_.top_p) * total_weight(candidates_);
    const double least = 0.5 * rest / static_cast<double>(candidates_.size());
    const double wanted = options_.top_p * total_weight(candidates_);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < least; });
    keep_mass(candidates_, wanted, higher);
  }
  if (options_.min_p > 0) {
    const double top = std::min_element(candidates_.begin(), candidates_.end(), higher)->weight;
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options_.min_p * top; });
  }
}

std::int32_t Sampler::draw() {
  weigh(candidates_, options_.temperature);
  double left = next_uniform(random_) * total_weight(candidates_);
  for (const Candidate& c : candidates_) {
    left -= c.weight;
    if (left < 0) return c.token;
  }
  // Rounding used up the last bit: the last token that can be drawn at all.
  return std::find_if(candidates_.rbegin(), candidates_.rend(),
                      [](const Candidate& c) { return c.weight > 0; })
      ->token;
}

RankedRow rank(std::span<const float> logits, const RankOptions& options) {
  return translate_errors([&] {
    if (options.n == 0 || options.n > most_ranked)
      throw bad_argument("n", std::to_string(options.n), "1 to " + std::to_string(most_ranked));
    if (options.n_tokens > logits.size())
      throw bad_argument("n_tokens", std::to_string(options.n_tokens),
                         "at most " + std::to_string(logits.size()));
    RankedRow row{.top = highest(logits)};
    if (row.top == forbidden) return row;
    keep_highest(logits.first(options.n_tokens), options.n, row.highest);
    std::ranges::sort(row.highest, higher);
    row.sum = sum_of_terms(logits, row.top);
    return row;
  });
}

double log_probability(std::span<const float> logits, std::int32_t token) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size())
    throw bad_argument("token", std::to_string(token), "tokens below " + std::to_string(logits.size()));
  const float top = highest(logits);
  if (top == forbidden) throw bad_argument("logits", "none above -infinity", "at least one possible token");
  return static_cast<double>(tame(logits[static_cast<std::size_t>(token)])) - top -
         std::log(sum_of_terms(logits, top));
}

}  // namespace nibble::inline v0
