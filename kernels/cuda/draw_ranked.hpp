// Drawing from a row's highest logits: the token that the host is about to draw, for the pass after it.
// Part of the last launch of a ranked pass (rank_kernels.hpp). Equals Sampler's draw of what foresee() says,
// operation by operation; the host still draws itself, and throws away what begins with another token.
//
// Weights are a thread each. They fall, so that what a truncation keeps is the first of them. Sums are one
// thread's, in the sampler's order, in loops that nothing leaves early, so that loads do not wait for sums.
// Bound by the latency of at most 4 times 63 additions: about a microsecond.
#pragma once

#include "kernels/cuda/device.hpp"
#include "nibble/core/ranked_row.hpp"
#include "src/core/exponential.hpp"

namespace nibble::inline v0::cuda {

struct DrawRanked {
  static constexpr std::uint32_t n_weights = 2 * most_ranked;
  const ForeseenDraws& how;
  double uniform;
  std::uint32_t n;  // that are drawn from, at most; 0: the highest is taken
  double* weights;  // (2, most_ranked), shared: at temperature 1, and at the draw's

  NIBBLE_DEVICE DrawRanked(const ForeseenDraws& of_row, std::uint32_t position, std::uint32_t n_ranked,
                           double* shared)
      : how(of_row), uniform(of_row.uniforms[position % most_foreseen]), n(0), weights(shared) {
    if (n_ranked > 1 && how.temperature > 0) n = n_ranked < how.top_k ? n_ranked : how.top_k;
  }

  // By threads [0, n) and [most_ranked, most_ranked + n): how far their logit is from the highest; NaN where
  // there is none.
  NIBBLE_DEVICE void weigh(double below) const {
    const double temperature = device::thread() < most_ranked ? 1.0 : how.temperature;
    weights[device::thread()] = below <= 0.0 ? exp_of_nonpositive(below / temperature) : 0.0;
  }

  // Of the token drawn; by a thread that sees all weights.
  NIBBLE_DEVICE std::uint32_t place() const {
    if (n == 0) return 0;
    const double* tempered = weights + most_ranked;
    const std::uint32_t kept = n_kept();
    double left = uniform * sum(tempered, kept);
    std::uint32_t passed = 0;
    for (std::uint32_t i = 0; i < kept; ++i) {
      left = left - tempered[i];
      passed += left >= 0.0;
    }
    if (passed < kept) return passed;
    // Rounding has used up the last bit: the last that can be drawn at all.
    std::uint32_t last = kept - 1;
    while (last > 0 && tempered[last] == 0.0) --last;
    return last;
  }

 private:
  // By top_p and min_p.
  NIBBLE_DEVICE std::uint32_t n_kept() const {
    const double total = sum(weights, n), wanted = how.top_p * total;
    const double least = 0.5 * ((1.0 - how.top_p) * total) / n, least_by_min_p = how.min_p * weights[0];
    std::uint32_t kept = 0;
    double before = 0.0;
    for (std::uint32_t i = 0; i < n; ++i) {
      const bool by_top_p = how.top_p == 1 || (before < wanted && weights[i] >= least);
      kept += by_top_p && weights[i] >= least_by_min_p;
      before = before + weights[i];
    }
    return kept == 0 ? 1 : kept;
  }
  NIBBLE_DEVICE static double sum(const double* from, std::uint32_t n) {
    double sum = 0.0;
    for (std::uint32_t i = 0; i < n; ++i) sum = sum + from[i];
    return sum;
  }
};

}  // namespace nibble::inline v0::cuda
