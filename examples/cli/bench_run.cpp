// The timing itself. Nothing but Engine::step runs between the two looks at the clock.
// See bench_run.hpp.
#include "bench_run.hpp"

#include <algorithm>
#include <random>

#include "terminal.hpp"

namespace cli {

namespace {

constexpr std::uint32_t warm_up_steps = 2;  // of a generation; a prompt is run whole

// The same for every run, and any of the vocabulary.
std::vector<nibble::TokenId> make_tokens(std::size_t n, std::uint32_t vocab_size) {
  std::minstd_rand random(1);
  std::vector<nibble::TokenId> tokens(n);
  for (nibble::TokenId& token : tokens) token = static_cast<nibble::TokenId>(random() % vocab_size);
  return tokens;
}

}  // namespace

std::span<nibble::Sequence> BenchRun::sequences_at(std::uint32_t depth, std::uint32_t n,
                                                   const std::stop_token& stop) {
  if (depth != depth_) {
    sequences_.clear();
    depth_ = depth;
    past_.clear();
  }
  if (sequences_.empty()) {
    sequences_.push_back(engine_.make_sequence());
    const std::vector<nibble::TokenId> tokens = make_tokens(depth, engine_.model().config().vocab_size);
    const nibble::StepInput input{sequences_.data(), tokens, nibble::Outputs::none};
    engine_.step({&input, 1}, stop, progress_bar());
    if (depth != 0) past_ = engine_.save(sequences_[0], tokens);
  }
  while (sequences_.size() < n) {
    sequences_.push_back(engine_.make_sequence());
    if (depth != 0) engine_.restore(past_, sequences_.back());
  }
  for (nibble::Sequence& sequence : sequences_) {
    // A window may have dropped what was there.
    if (!engine_.rewind(sequence, depth)) engine_.restore(past_, sequence);
  }
  return std::span(sequences_).first(n);
}

// Seconds of one run, cut short after `n_gen` steps.
double BenchRun::run_once(const BenchTest& test, std::uint32_t n_gen, const std::stop_token& stop) {
  const std::span<nibble::Sequence> sequences = sequences_at(test.n_depth, test.n_seqs, stop);
  const std::uint32_t steps = test.n_gen == 0 ? 1 : n_gen;
  const std::uint32_t n = test.n_gen == 0 ? test.n_prompt : 1;  // tokens of a step
  auto tokens = make_tokens(std::size_t{steps} * test.n_seqs * n, engine_.model().config().vocab_size);
  const nibble::OnLogits ignore = [](std::size_t, std::size_t, std::span<const float>) {};
  // As a generation does: from a device a token comes back rather than a vocabulary of floats, and the next
  // step goes on with it.
  const bool ranked = test.n_gen != 0 && engine_.plan().backend.starts_with("cuda");
  const nibble::RankOptions highest{.n = 1, .n_tokens = engine_.model().config().vocab_size, .ahead = true};
  std::vector<nibble::StepInput> inputs(test.n_seqs);
  std::span<nibble::TokenId> left = tokens;
  const double began = now();
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::uint32_t i = 0; i < test.n_seqs; ++i, left = left.subspan(n))
      inputs[i] = {&sequences[i], left.first(n), nibble::Outputs::last};
    if (!ranked) {
      engine_.step(inputs, ignore, stop);
      continue;
    }
    const std::vector<nibble::RankedRow> rows = engine_.step_ranked(inputs, highest, stop);
    for (std::size_t i = 0; i < std::min(left.size(), rows.size()); ++i)
      if (!rows[i].highest.empty()) left[i] = rows[i].highest.front().token;
  }
  return now() - began;
}

std::vector<double> BenchRun::measure(const BenchTest& test, std::uint32_t repetitions,
                                      const std::stop_token& stop) {
  ProgressBar bar;
  bar.show(test.name(), 0, repetitions + 1);
  run_once(test, std::min(test.n_gen, warm_up_steps), stop);
  std::vector<double> rates;
  for (std::uint32_t i = 0; i < repetitions; ++i) {
    bar.show(test.name(), i + 1, repetitions + 1);
    rates.push_back(static_cast<double>(test.tokens()) / run_once(test, test.n_gen, stop));
  }
  return rates;
}

}  // namespace cli
