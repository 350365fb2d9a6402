// The parts of all rows at once, then what they pass on, until one block has all of a row.
// Used by pass.cpp; the first may be recorded.
#include "kernels/cuda/ranking.hpp"

#include <limits>
#include <utility>

#include "kernels/cuda/rank_kernels.hpp"

namespace nibble::inline v0::cuda {

void launch_ranking(const Prepared& p, Runtime& runtime, const PassShape& shape) {
  const RankPlaces& at = p.layout.ranking;
  const Slot& logits = p.plan->logits;
  const std::uint32_t rows = shape.n_outputs, n = shape.n_ranked, parts = at.parts;
  RankKey *keys = p.activation<RankKey>(at.keys[0]), *other = p.activation<RankKey>(at.keys[1]);
  auto* results = p.activation<RankKey>(at.results);
  auto* totals = p.activation<RankTotal>(at.totals);
  runtime.launch({rows, parts, RankBlock::shared_bytes},
                 RankLogits{p.activation<const float>(p.layout.buffers[logits.buffer]) + logits.offset,
                            static_cast<std::uint32_t>(p.layout.strides[logits.buffer]), p.plan->vocab_size,
                            shape.rank_tokens, n, parts, keys, totals});
  std::uint32_t n_keys = parts * n, groups = 0;
  do {
    groups = (n_keys + RankBlock::keys - 1) / RankBlock::keys;
    runtime.launch({rows, groups, RankBlock::shared_bytes},
                   MergeRanked{keys, n_keys, n, groups, groups == 1 ? results : other, totals, parts,
                               reinterpret_cast<RankTotal*>(results + std::size_t{rows} * n)});
    std::swap(keys, other);
    n_keys = groups * n;
  } while (groups != 1);
}

void read_ranking(const Prepared& p, Runtime& runtime, const PassShape& shape, std::span<RankedRow> rows) {
  const std::size_t n = shape.n_ranked;
  runtime.download(p.ranked.data(), p.activation<std::byte>(p.layout.ranking.results),
                   RankPlaces::result_bytes(rows.size(), n));
  runtime.synchronise();
  const auto* keys = reinterpret_cast<const RankKey*>(p.ranked.data());
  const auto* totals = reinterpret_cast<const RankTotal*>(keys + rows.size() * n);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {.highest = {}, .top = totals[i].top, .sum = totals[i].sum};
    for (const RankKey key : std::span(keys + i * n, n))
      if (key != 0 && logit_of(key) > -std::numeric_limits<float>::infinity())
        rows[i].highest.push_back({logit_of(key), static_cast<std::int32_t>(token_of_key(key))});
  }
}

}  // namespace nibble::inline v0::cuda
