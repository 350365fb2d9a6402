// The sampler against its definition: exact effects of each option, distributions, refusals.
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "nibble/sample/sampler.hpp"
#include "reference_sampler.hpp"
#include "src/core/exponential.hpp"
#include "support/catch.hpp"
#include "support/thrown.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

// Everything off: draws from softmax(logits).
SamplerOptions plain(std::uint64_t seed = 1) {
  return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
}
SamplerOptions greedy() { return {.temperature = 0}; }

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::int32_t one(const SamplerOptions& options, const std::vector<float>& logits,
                 const std::vector<std::int32_t>& history = {}) {
  return Sampler(options, static_cast<std::uint32_t>(logits.size())).sample(logits, history).token;
}

// The tokens that come up in `n` draws.
std::set<std::int32_t> drawn(const SamplerOptions& options, const std::vector<float>& logits, int n = 2000) {
  Sampler sampler(options, static_cast<std::uint32_t>(logits.size()));
  std::set<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.insert(sampler.sample(logits, {}).token);
  return tokens;
}

using Tokens = std::set<std::int32_t>;
const std::vector<double> four{0.5, 0.3, 0.15, 0.05};

// Sum over tokens of (drawn - expected)^2 / expected.
double chi_square(const SamplerOptions& options, const std::vector<float>& logits,
                  const std::vector<double>& expected, int n) {
  Sampler sampler(options, static_cast<std::uint32_t>(logits.size()));
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(sampler.sample(logits, {}).token)];
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    sum += (counts[i] - n * expected[i]) * (counts[i] - n * expected[i]) / (n * expected[i]);
  return sum;
}

// The value that a chi-square variable exceeds once in a million: Wilson and Hilferty's cube of a normal.
double one_in_a_million(std::size_t degrees) {
  const double k = static_cast<double>(degrees), z = 4.7534, part = 2 / (9 * k);
  return k * std::pow(1 - part + z * std::sqrt(part), 3);
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  for (const float l : logits) p.push_back(std::exp(l / temperature));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

}  // namespace

TEST_CASE("exp_of_nonpositive: within two units in the last place of exp") {
  double worst = 0;
  for (int i = 0; i <= 700'000; ++i) {
    const double x = -0.001 * i, expected = std::exp(x);
    worst = std::max(worst, std::abs(exp_of_nonpositive(x) - expected) / expected);
  }
  CHECK(worst <= 2 * 0x1p-52);
  CHECK(exp_of_nonpositive(0.0) == 1);
  CHECK(exp_of_nonpositive(-709.0) == 0);
  CHECK(exp_of_nonpositive(-std::numeric_limits<double>::infinity()) == 0);
}

TEST_CASE("exp_of_nonpositive in float: within 2e-7 of exp") {
  double worst = 0;
  for (int i = 0; i <= 870'000; ++i) {
    const float x = -0.0001f * static_cast<float>(i);
    worst = std::max(worst, std::abs(exp_of_nonpositive(x) / std::exp(static_cast<double>(x)) - 1));
  }
  CHECK(worst <= 2e-7);
  CHECK(exp_of_nonpositive(0.0f) == 1);
}

TEST_CASE("log_probability: within 1e-6, whatever the vocabulary's size and odd values in it") {
  for (const std::size_t n : {1, 2, 63, 64, 65, 100, 127, 1000, 50'001}) {
    std::vector<float> logits(n);
    for (std::size_t i = 0; i < n; ++i) logits[i] = 8 * std::sin(static_cast<float>(i * i % 1013));
    if (n > 64) logits[n - 1] = not_a_number, logits[n / 2] = -infinity;
    double sum = 0;
    for (const float l : logits) sum += std::isnan(l) ? 0 : std::exp(static_cast<double>(l));
    CAPTURE(n);
    CHECK(std::abs(log_probability(logits, 0) - (logits[0] - std::log(sum))) < 1e-6);
  }
}

TEST_CASE("greedy takes the highest logit, the lowest id among equals, whatever the truncations") {
  CHECK(one(greedy(), {1, 3, 2}) == 1);
  CHECK(one(greedy(), {1, 3, 3, 3}) == 1);
  CHECK(one(greedy(), {not_a_number, -5, not_a_number}) == 1);
  CHECK(one(greedy(), {-infinity, -2, -1}) == 2);
  CHECK(one(greedy(), {1, infinity, infinity}) == 1);
  CHECK(one({.temperature = 0, .top_k = 1, .typical_p = 0.1f}, logits_of(four)) == 0);
}

TEST_CASE("each truncation keeps exactly what its definition says") {
  const std::vector<float> logits = logits_of(four);
  const auto with = [](auto set) {
    SamplerOptions o = plain();
    set(o);
    return o;
  };
  CHECK(drawn(plain(), logits) == Tokens{0, 1, 2, 3});
  CHECK(drawn(with([](auto& o) { o.top_k = 1; }), logits) == Tokens{0});
  CHECK(drawn(with([](auto& o) { o.top_k = 3; }), logits) == Tokens{0, 1, 2});
  CHECK(drawn(with([](auto& o) { o.top_k = 99; }), logits) == Tokens{0, 1, 2, 3});
  CHECK(drawn(with([](auto& o) { o.top_k = 2; }), {1, 2, 2, 2}) == Tokens{1, 2});
  CHECK(drawn(with([](auto& o) { o.top_p = 0; }), logits) == Tokens{0});
  CHECK(drawn(with([](auto& o) { o.top_p = 0.79f; }), logits) == Tokens{0, 1});
  CHECK(drawn(with([](auto& o) { o.top_p = 0.81f; }), logits) == Tokens{0, 1, 2});
  CHECK(drawn(with([](auto& o) { o.min_p = 1; }), logits) == Tokens{0});
  CHECK(drawn(with([](auto& o) { o.min_p = 0.29f; }), logits) == Tokens{0, 1, 2});
  CHECK(drawn(with([](auto& o) { o.min_p = 0.31f; }), logits) == Tokens{0, 1});
  // Surprise less the entropy of 1.142: 0.449, 0.062, 0.755, 1.854.
  CHECK(drawn(with([](auto& o) { o.typical_p = 0.29f; }), logits) == Tokens{1});
  CHECK(drawn(with([](auto& o) { o.typical_p = 0.31f; }), logits) == Tokens{0, 1});
  CHECK(drawn(with([](auto& o) { o.typical_p = 0.81f; }), logits) == Tokens{0, 1, 2});
  // After top_k = 2 the two left hold 0.625 and 0.375.
  CHECK(drawn(with([](auto& o) { o.top_k = 2, o.top_p = 0.62f; }), logits) == Tokens{0});
}

TEST_CASE("penalties change the logits of seen tokens by exactly what they say") {
  const auto with = [](auto set) {
    SamplerOptions o = greedy();
    set(o);
    return o;
  };
  const std::vector<float> logits{2.0f, 1.5f, -4.0f};
  CHECK(one(with([](auto& o) { o.repetition_penalty = 1.25f; }), logits, {0}) == 0);  // 1.6
  CHECK(one(with([](auto& o) { o.repetition_penalty = 1.5f; }), logits, {0, 0}) == 1);
  CHECK(one(with([](auto& o) { o.repetition_penalty = 2; }), {-1, -1.5f}, {0}) == 1);
  CHECK(one(with([](auto& o) { o.presence_penalty = 0.25f; }), logits, {0, 0, 0}) == 0);  // 1.75
  CHECK(one(with([](auto& o) { o.presence_penalty = 0.75f; }), logits, {0}) == 1);
  CHECK(one(with([](auto& o) { o.frequency_penalty = 0.25f; }), logits, {0}) == 0);
  CHECK(one(with([](auto& o) { o.frequency_penalty = 0.25f; }), logits, {0, 0, 0}) == 1);  // 1.25
  CHECK(one(with([](auto& o) { o.presence_penalty = -3; }), logits, {1}) == 1);
  SECTION("only the newest tokens of the window count") {
    CHECK(one(with([](auto& o) { o.presence_penalty = 9, o.penalty_window = 2; }), logits, {0, 1, 2}) == 0);
    CHECK(one(with([](auto& o) { o.presence_penalty = 9, o.penalty_window = 3; }), logits, {0, 2, 2}) == 1);
    CHECK(one(with([](auto& o) { o.presence_penalty = 9, o.penalty_window = 0; }), logits, {0}) == 0);
  }
  SECTION("nothing is left over from one call to the next") {
    Sampler sampler(with([](auto& o) { o.frequency_penalty = 0.3f; }), 3);
    for (int i = 0; i < 5; ++i) CHECK(sampler.sample(logits, std::vector<std::int32_t>{0}).token == 0);
  }
}

TEST_CASE("logit_bias adds, and -infinity forbids") {
  SamplerOptions o = greedy();
  o.logit_bias = {{1, 0.4f}};
  CHECK(one(o, {2.0f, 1.5f}) == 0);
  o.logit_bias = {{1, 0.6f}};
  CHECK(one(o, {2.0f, 1.5f}) == 1);
  o.logit_bias = {{0, -infinity}};
  CHECK(one(o, {2.0f, 1.5f}) == 1);
  o.logit_bias = {{0, std::numeric_limits<float>::max()}};
  CHECK(one(o, {std::numeric_limits<float>::max(), 1.5f}) == 0);
}

TEST_CASE("the log-probability is that of the unmodified logits") {
  SamplerOptions o = greedy();
  o.logit_bias = {{2, 100.0f}};
  const Sample sample = Sampler(o, 4).sample(logits_of(four), {});
  CHECK(sample.token == 2);
  CHECK(std::abs(sample.logprob - std::log(0.15)) < 1e-6);
  const std::vector<float> odd{not_a_number, 0, infinity, 0};
  CHECK(log_probability(odd, 2) == 0);
  CHECK(log_probability(odd, 0) == -std::numeric_limits<double>::infinity());
  CHECK(log_probability(std::vector<float>{5, 5}, 1) == -std::log(2.0));
}

TEST_CASE("draws follow the distribution (chi-square, one in a million)") {
  std::vector<float> logits(40);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i)) * 2;
  const double limit = one_in_a_million(logits.size() - 1);
  constexpr int n = 100'000;
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    for (const std::uint64_t seed : {0ull, 1ull, ~0ull}) {
      CAPTURE(temperature, seed);
      SamplerOptions o = plain(seed);
      o.temperature = temperature;
      CHECK(chi_square(o, logits, softmax(logits, temperature), n) < limit);
    }
  }
  SECTION("and the test tells a wrong temperature") {
    CHECK(chi_square(plain(), logits, softmax(logits, 1.05), n) > limit);
  }
}

TEST_CASE("every draw equals the chain's definition with full sorts") {
  ReferenceRandom random(7);
  for (int trial = 0; trial < 600; ++trial) {
    CAPTURE(trial);
    const std::size_t n = 2 + random() % (trial % 10 == 0 ? 5000 : 300);
    std::vector<float> logits(n);
    const double spread = 1 + 12 * random.uniform();
    for (float& l : logits)
      l = static_cast<float>(spread * (random.uniform() + random.uniform() + random.uniform()));
    std::vector<std::int32_t> history(random() % 100);
    for (std::int32_t& t : history) t = static_cast<std::int32_t>(random() % n);
    SamplerOptions o{.temperature = static_cast<float>(0.2 + 2 * random.uniform())};
    const auto sometimes = [&](float off, double low, double high) {
      return random() % 2 == 0 ? off : static_cast<float>(low + (high - low) * random.uniform());
    };
    o.top_k = random() % 2 == 0 ? 0 : static_cast<std::uint32_t>(1 + random() % n);
    o.typical_p = sometimes(1, 0.05, 0.99);
    o.top_p = sometimes(1, 0.05, 0.999);
    o.min_p = sometimes(0, 0.001, 0.5);
    o.repetition_penalty = sometimes(1, 0.8, 2);
    o.presence_penalty = sometimes(0, -2, 2);
    o.frequency_penalty = sometimes(0, -2, 2);
    if (random() % 2 == 0)
      o.logit_bias[static_cast<std::int32_t>(random() % n)] = sometimes(-infinity, -3, 3);
    o.seed = random();

    Sampler sampler(o, static_cast<std::uint32_t>(n));
    ReferenceRandom draws(o.seed);
    const std::vector<Choice> choices = reference_choices(o, logits, history);
    for (int draw = 0; draw < 5; ++draw) {
      long double left = draws.uniform();
      std::size_t i = 0;
      while (i + 1 < choices.size() && (left -= choices[i].probability) >= 0) ++i;
      REQUIRE(sampler.sample(logits, history).token == choices[i].token);
    }
  }
}

TEST_CASE("a ranked row gives what the whole row does, where the options allow it") {
  ReferenceRandom random(8);
  int ranked = 0;
  for (int trial = 0; trial < 400; ++trial) {
    CAPTURE(trial);
    const std::size_t n = 2 + random() % (trial % 10 == 0 ? 3000 : 100);
    std::vector<float> logits(n);
    // Few different values, so that equals abound; and what is no number.
    for (float& l : logits) l = static_cast<float>(random() % 40) / 4;
    for (std::size_t i = 0; trial % 3 == 0 && i < n; i += 1 + random() % 3)
      logits[i] = i % 2 == 0 ? NAN : i % 5 == 0 ? infinity : -infinity;
    logits[random() % n] = 1;
    SamplerOptions o{.temperature = trial % 2 == 0 ? 0.0f : 1.5f,
                     .top_k = static_cast<std::uint32_t>(random() % 80)};
    o.seed = random();
    const std::size_t padding = random() % 2 == 0 ? 0 : random() % n;
    for (std::size_t i = n - padding; i < n; ++i) o.logit_bias[static_cast<std::int32_t>(i)] = -infinity;
    Sampler whole(o, static_cast<std::uint32_t>(n)), shorter(o, static_cast<std::uint32_t>(n));
    const std::optional<RankOptions> ranking = whole.ranking();
    const std::size_t possible = n - padding;
    CHECK(ranking.has_value() ==
          (trial % 2 == 0 || (o.top_k != 0 && o.top_k < most_ranked) || possible <= most_ranked));
    if (!ranking) continue;
    const RankedRow row = rank(logits, *ranking);
    if (row.highest.empty()) continue;
    for (int draw = 0; draw < 5; ++draw, ++ranked) {
      const Sample a = whole.sample(logits, {}), b = shorter.sample(row);
      REQUIRE(a.token == b.token);
      REQUIRE(a.logprob == b.logprob);
    }
  }
  CHECK(ranked > 1000);
}

TEST_CASE("options that change logits need the whole row; rankings out of range are refused") {
  const auto ranking = [](const SamplerOptions& o) { return Sampler(o, 100).ranking(); };
  CHECK(ranking({.temperature = 0})->n == 1);
  CHECK(ranking({.temperature = 1, .top_k = 40})->n == 41);
  CHECK_FALSE(ranking({.temperature = 1, .top_k = 64}));
  CHECK_FALSE(ranking({.temperature = 1, .top_k = 0}));
  CHECK_FALSE(ranking({.temperature = 0, .repetition_penalty = 1.1f}));
  CHECK(ranking({.temperature = 0, .repetition_penalty = 1.1f, .penalty_window = 0}));
  CHECK_FALSE(ranking({.temperature = 0, .presence_penalty = 1}));
  CHECK_FALSE(ranking({.temperature = 0, .frequency_penalty = -1}));
  CHECK_FALSE(ranking({.temperature = 0, .logit_bias = {{98, -infinity}}}));
  CHECK_FALSE(ranking({.temperature = 0, .logit_bias = {{99, 1.0f}}}));
  CHECK(ranking({.temperature = 0, .logit_bias = {{98, -infinity}, {99, -infinity}}})->n_tokens == 98);
  const std::vector<float> logits(3, 1.0f);
  CHECK(thrown([&] { rank(logits, {.n = 0, .n_tokens = 3}); }).code() == ErrorCode::invalid_argument);
  CHECK(thrown([&] { rank(logits, {.n = 65, .n_tokens = 3}); }).code() == ErrorCode::invalid_argument);
  CHECK(thrown([&] { rank(logits, {.n = 1, .n_tokens = 4}); }).code() == ErrorCode::invalid_argument);
  CHECK(thrown([&] { Sampler({}, 3).sample(RankedRow{}); }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("what is foreseen are the generator's next numbers, and they stay its next") {
  const SamplerOptions options{
      .temperature = 0.7f, .top_k = 5, .top_p = 0.9f, .min_p = 0.01f, .typical_p = 1, .seed = 3};
  Sampler sampler(options, 20), unasked(options, 20);
  std::vector<float> logits(20);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i));
  const RankedRow row = rank(logits, *sampler.ranking());
  ReferenceRandom random(3);
  for (int draw = 0; draw < 9; ++draw) {
    const ForeseenDraws foreseen = *sampler.foresee();
    CHECK(foreseen.temperature == options.temperature);
    CHECK(foreseen.top_k == options.top_k);
    CHECK(foreseen.top_p == options.top_p);
    CHECK(foreseen.min_p == options.min_p);
    ReferenceRandom next = random;
    for (const double uniform : foreseen.uniforms)
      REQUIRE(uniform == static_cast<double>(next() >> 11) * 0x1p-53);
    random();
    // A draw is one number, of a row in short and of a whole one.
    const Sample sample = draw % 2 == 0 ? sampler.sample(row) : sampler.sample(logits, {});
    CHECK(sample.token == unasked.sample(row).token);
  }
  CHECK(*Sampler({.temperature = 0}, 20).foresee() == ForeseenDraws{});
  CHECK_FALSE(Sampler({.temperature = 1, .top_k = 0}, 20).foresee());
  CHECK_FALSE(Sampler({.temperature = 1, .top_k = 5, .typical_p = 0.9f}, 20).foresee());
}

TEST_CASE("the generator is the published one: splitmix64 into xoshiro256**") {
  // splitmix64's first outputs for seed 0, as its author's code gives them, are the state.
  ReferenceRandom random(0);
  CHECK(random() == std::rotl(0x6e789e6aa1b965f4ull * 5, 7) * 9);
  const std::vector<float> flat(1000, 0.0f);
  Sampler a(plain(5), 1000), b(plain(5), 1000), c(plain(6), 1000);
  int differences = 0;
  for (int i = 0; i < 100; ++i) {
    const std::int32_t token = a.sample(flat, {}).token;
    CHECK(b.sample(flat, {}).token == token);
    differences += c.sample(flat, {}).token != token;
  }
  CHECK(differences > 90);
}

TEST_CASE("malformed 90: NaN, infinite and out-of-range sampler values are refused by name") {
  struct Case {
    const char* field;
    float SamplerOptions::*member;
    std::vector<float> bad;
  };
  const std::array cases{Case{"temperature", &SamplerOptions::temperature, {-0.5f}},
                         Case{"top_p", &SamplerOptions::top_p, {-0.1f, 1.1f}},
                         Case{"min_p", &SamplerOptions::min_p, {-0.1f, 1.1f}},
                         Case{"typical_p", &SamplerOptions::typical_p, {-0.1f, 1.1f}},
                         Case{"repetition_penalty", &SamplerOptions::repetition_penalty, {0, -1}},
                         Case{"presence_penalty", &SamplerOptions::presence_penalty, {}},
                         Case{"frequency_penalty", &SamplerOptions::frequency_penalty, {}}};
  for (const Case& c : cases) {
    std::vector<float> values = c.bad;
    values.insert(values.end(), {not_a_number, infinity, -infinity});
    for (const float value : values) {
      CAPTURE(c.field, value);
      SamplerOptions o;
      o.*c.member = value;
      const Error e = thrown([&] { Sampler(o, 10); });
      CHECK(e.code() == ErrorCode::invalid_argument);
      CHECK(e.field() == c.field);
    }
  }
}

TEST_CASE("malformed 91: a logit_bias that names no token, or no number, is refused") {
  for (const auto& [token, bias] :
       std::map<std::int32_t, float>{{-1, 1.0f}, {10, 1.0f}, {3, not_a_number}, {4, infinity}}) {
    SamplerOptions o;
    o.logit_bias = {{token, bias}};
    const Error e = thrown([&] { Sampler(o, 10); });
    CHECK(e.code() == ErrorCode::invalid_argument);
    CHECK(e.field() == "logit_bias");
  }
}

TEST_CASE("malformed 88: a token outside the vocabulary is refused") {
  const std::vector<float> logits(10);
  SamplerOptions o = plain();
  Sampler sampler(o, 10), untouched(o, 10);
  for (const std::int32_t token : {-1, 10, std::numeric_limits<std::int32_t>::max()}) {
    const std::vector<std::int32_t> history{token};
    const Error e = thrown([&] { sampler.sample(logits, history); });
    CHECK(e.code() == ErrorCode::invalid_argument);
    CHECK(e.field() == "history");
    CHECK(thrown([&] { log_probability(logits, token); }).field() == "token");
  }
  CHECK(sampler.sample(logits, {}).token == untouched.sample(logits, {}).token);
}

TEST_CASE("logits from which nothing can be drawn are refused") {
  Sampler sampler(plain(), 3);
  for (const std::vector<float>& logits : {std::vector<float>{not_a_number, not_a_number, not_a_number},
                                           {-infinity, -infinity, not_a_number},
                                           {0, 0},
                                           {0, 0, 0, 0},
                                           {}}) {
    const Error e = thrown([&] { sampler.sample(logits, {}); });
    CHECK(e.code() == ErrorCode::invalid_argument);
    CHECK(e.field() == "logits");
  }
  CHECK(thrown([&] { log_probability(std::vector<float>{not_a_number, -infinity}, 0); }).field() == "logits");
}
