// Choosing experts: an insertion into the few best so far, then a softmax.
// The reference it equals is kernels/reference; the same for every tier.
#include "kernels/cpu/experts.hpp"

#include <algorithm>
#include <cmath>

namespace nibble::inline v0::cpu {

void route(const float* scores, const Args& args, float* out) {
  const std::size_t n_used = args.n_used;
  const auto expert = [&](std::size_t j) { return static_cast<std::size_t>(out[j]); };
  for (std::size_t e = 0; e < args.n_experts; ++e) {
    std::size_t j = std::min(e, n_used);
    // Of equals, those that came first stay in front.
    for (; j > 0 && scores[e] > scores[expert(j - 1)]; --j)
      if (j < n_used) out[j] = out[j - 1];
    if (j < n_used) out[j] = static_cast<float>(e);
  }
  const double largest = scores[expert(0)];
  double sum = 0;
  for (std::size_t i = 0; i < (args.softmax_all ? args.n_experts : n_used); ++i)
    sum += std::exp(scores[args.softmax_all ? i : expert(i)] - largest);
  for (std::size_t j = 0; j < n_used; ++j)
    out[n_used + j] = static_cast<float>(std::exp(scores[expert(j)] - largest) / sum);
}

}  // namespace nibble::inline v0::cpu
