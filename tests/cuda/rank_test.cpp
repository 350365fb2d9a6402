// Rows of logits ranked on the device: what rank() makes of the rows that come whole.
#include <cmath>
#include <set>

#include "nibble/sample/sampler.hpp"
#include "support/catch.hpp"
#include "tests/cuda/subject.hpp"
#include "tests/kernels/toy_plan.hpp"

using namespace nibble;

namespace {

// Values with many equals, both zeros, and what is no number.
std::vector<float> odd_logits(std::size_t n) {
  std::mt19937 random(3);
  std::vector<float> logits(n);
  for (float& x : logits) {
    const auto kind = random() % 97;
    x = static_cast<float>(random() % 300) / 8 - 30;
    if (kind == 0) x = NAN;
    if (kind == 1) x = -INFINITY;
    if (kind == 2) x = random() % 2 == 0 ? 0.0f : -0.0f;
  }
  return logits;
}

// Token t's logits are row t of a table.
struct Table {
  Table(std::uint32_t width, const std::vector<float>& logits) {
    const Slot in = toy.inputs(width, logits);
    toy.plan.orders.emplace_back(width);
    for (std::uint32_t i = 0; i < width; ++i) toy.plan.orders[0][i] = i;
    toy.finish({.op = Op::gather, .out = {}, .a = in, .b = {}, .w = no_weight, .args = {.order = 0}}, width);
    backend = make_subject({.max_tokens = 80, .max_outputs = 80});
    backend->prepare(toy.plan, toy.weights, {});
  }

  struct Rows {
    bool done;
    std::vector<RankedRow> rows;
  };
  Rows ranked(const std::vector<std::int32_t>& tokens, const RankOptions& options) {
    return run(tokens, numbers(tokens.size()), std::vector<std::uint32_t>(tokens.size()), options);
  }
  // Each token a sequence's at that position.
  Rows ranked_at(std::uint32_t position, const std::vector<std::int32_t>& tokens,
                 const RankOptions& options) {
    return run(tokens, std::vector<std::uint32_t>(tokens.size(), position), numbers(tokens.size()), options);
  }

  static std::vector<std::uint32_t> numbers(std::size_t n) {
    std::vector<std::uint32_t> all(n);
    for (std::uint32_t i = 0; i < n; ++i) all[i] = i;
    return all;
  }
  Rows run(const std::vector<std::int32_t>& tokens, const std::vector<std::uint32_t>& positions,
           const std::vector<std::uint32_t>& sequence, const RankOptions& options) {
    std::vector<KvSequence> kv(sequence.back() + 1);
    std::vector<BatchSequence> sequences;
    for (KvSequence& one : kv) sequences.push_back({&one});
    for (std::size_t i = tokens.size(); i-- > 0;) kv[sequence[i]].length = positions[i];
    Rows out{false, std::vector<RankedRow>(tokens.size())};
    out.done = backend->run_ranked({tokens, positions, sequence, numbers(tokens.size()), sequences}, options,
                                   out.rows, {});
    return out;
  }

  ToyPlan toy;
  std::unique_ptr<Backend> backend;
};

void check(const RankedRow& got, const RankedRow& expected) {
  CHECK(got.top == expected.top);
  CHECK(std::abs(std::log(got.sum) - std::log(expected.sum)) <= 1e-6);
  REQUIRE(got.highest.size() == expected.highest.size());
  for (std::size_t i = 0; i < got.highest.size(); ++i) {
    CHECK(got.highest[i].token == expected.highest[i].token);
    CHECK(got.highest[i].logit == expected.highest[i].logit);
  }
}

}  // namespace

TEST_CASE("cuda: ranking of rows equals the reference's, launched and repeated") {
  const std::uint32_t width = GENERATE(5u, 1024u, 2500u, 18000u), n = GENERATE(1u, 64u);
  CAPTURE(width, n);
  const std::vector<float> logits = odd_logits(std::size_t{3} * width);
  Table table(width, logits);
  for (const std::uint32_t n_tokens : {width, width - 3, width - 3}) {
    const Table::Rows got = table.ranked({0, 2}, {.n = n, .n_tokens = n_tokens});
    REQUIRE(got.done);
    for (const std::size_t i : {0, 1})
      check(got.rows[i], rank(std::span(logits).subspan(2 * i * width, width), {n, n_tokens}));
  }
}

TEST_CASE("cuda: ranking of rows with infinities, or nothing but them, equals the reference's") {
  const std::uint32_t width = 70;
  std::vector<float> logits(3 * width, -INFINITY);
  logits[3] = logits[5] = INFINITY;
  logits[4] = 3.4e38f;
  for (std::uint32_t i = width; i < 2 * width; ++i) logits[i] = NAN;
  logits[2 * width + 7] = -1e30f;
  Table table(width, logits);
  const RankOptions options{.n = 4, .n_tokens = width};
  const Table::Rows got = table.ranked({0, 1, 2}, options);
  check(got.rows[0], rank(std::span(logits).first(width), options));
  CHECK(got.rows[1].highest.empty());
  check(got.rows[2], rank(std::span(logits).last(width), options));
}

TEST_CASE("cuda: steps that have begun before their tokens were known give the rows that follow") {
  const std::uint32_t width = 300;
  const std::vector<float> logits = odd_logits(std::size_t{width} * width);
  Table table(width, logits);
  const RankOptions options{.n = 1, .n_tokens = width, .ahead = true};
  std::vector<std::int32_t> tokens{4, 7, 4};
  std::uint32_t begun = 0;
  for (std::uint32_t position = 0; position < 20; ++position) {
    if (position % 7 == 5) tokens[1] = 9;  // which is not what came
    const Table::Rows got = table.ranked_at(position, tokens, options);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      check(got.rows[i],
            rank(std::span(logits).subspan(width * static_cast<std::size_t>(tokens[i]), width), options));
      tokens[i] = got.rows[i].highest.front().token;
    }
    begun += got.rows[0].ahead;
  }
  CHECK(begun == 16);  // all but the first, and those of another token
}

TEST_CASE("cuda: what a device draws to go on with is what Sampler draws") {
  const std::uint32_t width = 150, n_rows = 6;
  std::vector<float> logits = odd_logits(std::size_t{width} * width);
  for (float& x : logits) x /= 8;
  Table table(width, logits);
  std::mt19937 random(5);
  const auto one_of = [&](std::initializer_list<float> of) { return of.begin()[random() % of.size()]; };
  std::set<std::size_t> places;  // among the highest, that were drawn
  for (int round = 0; round < 4; ++round) {
    std::vector<Sampler> samplers;
    RankOptions options{.n = 1, .n_tokens = width, .ahead = true};
    for (std::uint32_t i = 0; i < n_rows; ++i) {
      samplers.emplace_back(SamplerOptions{.temperature = one_of({0, 0.01f, 0.5f, 1, 1.7f, 40}),
                                           .top_k = static_cast<std::uint32_t>(one_of({1, 2, 20, 40, 63})),
                                           .top_p = one_of({0, 0.5f, 0.95f, 0.999f, 1}),
                                           .min_p = one_of({0, 0, 0.05f, 0.5f, 1}),
                                           .seed = random()},
                            width);
      options.n = std::max(options.n, samplers.back().ranking()->n);
    }
    std::vector<std::int32_t> tokens(n_rows, round);
    for (std::uint32_t position = 0; position < 4; ++position) {
      std::vector<ForeseenDraws> draws;
      for (const Sampler& sampler : samplers) draws.push_back(*sampler.foresee());
      options.draws = draws;
      const Table::Rows got = table.ranked_at(62 + position, tokens, options);
      CHECK(got.rows[0].ahead == (position > 0));  // as long as tokens are those that the device has drawn
      for (std::size_t i = 0; i < n_rows; ++i) {
        const std::vector<RankedToken>& highest = got.rows[i].highest;
        tokens[i] = samplers[i].sample(got.rows[i]).token;
        const auto at = std::ranges::find(highest, tokens[i], &RankedToken::token);
        places.insert(static_cast<std::size_t>(at - highest.begin()));
      }
    }
  }
  CHECK(places.size() > 12);
}

TEST_CASE("cuda: of more rows than it ranks nothing is done") {
  Table table(8, odd_logits(std::size_t{8} * 80));
  CHECK_FALSE(table.ranked(std::vector<std::int32_t>(65, 1), {.n = 1, .n_tokens = 8}).done);
}
