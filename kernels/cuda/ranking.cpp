// The parts of all rows at once, then what they pass on, until one block has all of a row.
// Used by pass.cpp; the first may be recorded.
#include "kernels/cuda/ranking.hpp"

#include <limits>
#include <utility>

#include "kernels/cuda/batch_words.hpp"
#include "kernels/cuda/rank_kernels.hpp"

namespace nibble::inline v0::cuda {

namespace {

RankRecords records_of(const Prepared& p) {
  return {p.ranked.data(), p.layout.ranking.record_bytes, p.layout.ranking.rows};
}

}  // namespace

void launch_ranking(const Prepared& p, Runtime& runtime, const PassShape& shape) {
  const RankPlaces& at = p.layout.ranking;
  const Slot& logits = p.plan->logits;
  const std::uint32_t rows = shape.n_outputs, n = shape.n_ranked, parts = at.parts;
  RankKey *keys = p.activation<RankKey>(at.keys[0]), *other = p.activation<RankKey>(at.keys[1]);
  const BatchPlaces& words = p.layout.in_batch;
  auto* in_batch = p.activation<std::uint32_t>(p.layout.batch);
  const auto* draws = reinterpret_cast<const ForeseenDraws*>(in_batch + words.draws);
  auto* totals = p.activation<RankTotal>(at.totals);
  runtime.launch({rows, parts, RankBlock::shared_bytes},
                 RankLogits{p.activation<const float>(p.layout.buffers[logits.buffer]) + logits.offset,
                            static_cast<std::uint32_t>(p.layout.strides[logits.buffer]), p.plan->vocab_size,
                            shape.rank_tokens, n, parts, keys, totals});
  std::uint32_t n_keys = parts * n, groups = 0;
  do {
    groups = (n_keys + RankBlock::keys - 1) / RankBlock::keys;
    runtime.launch(
        {rows, groups, RankBlock::shared_bytes},
        MergeRanked{keys, n_keys, n, groups, other, totals, parts, records_of(p), in_batch + words.outputs,
                    in_batch + words.tokens, in_batch + words.positions, draws});
    std::swap(keys, other);
    n_keys = groups * n;
  } while (groups != 1);
}

void read_ranking(const Prepared& p, const PassShape& shape, const Batch& batch, std::span<RankedRow> rows) {
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t token = batch.outputs[i];
    RankKey* keys = records_of(p).keys(i, batch.positions[token]);
    const RankEnd end = *end_after(keys, shape.n_ranked);
    rows[i] = {.highest = {}, .top = end.total.top, .sum = end.total.sum};
    for (const RankKey key : std::span(keys, shape.n_ranked))
      if (key != 0 && logit_of(key) > -std::numeric_limits<float>::infinity())
        rows[i].highest.push_back({logit_of(key), static_cast<std::int32_t>(token_of_key(key))});
    go_on(p, token, end.next);
  }
}

}  // namespace nibble::inline v0::cuda
