// Mixtures of experts: which experts a row takes, and which rows an expert gets.
// Between a route and the matmuls that read it; pass.cpp runs those one expert at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nibble/model/plan.hpp"

namespace nibble::inline v0::cpu {

// A route's out for one row: args.n_used numbers, then as many weights. Scores that are not numbers are
// chosen by nothing but their place.
void route(const float* scores, const Args& args, float* out);

// Rows of a batch by expert, so that each expert's weights are read once. A use is row * n_used + j, the j-th
// expert of a row; uses of one expert are neighbours, by increasing row.
struct ExpertUses {
  std::vector<std::uint32_t> begin;  // (n_experts + 1): expert e has places [begin[e], begin[e + 1])
  std::vector<std::uint32_t> use;    // by place
  std::vector<std::uint32_t> place;  // by use

  // `routed`(row): where the route's out for it begins. Allocates nothing within what is reserved.
  template <class Routed>
  void group(std::size_t n_rows, const Args& args, const Routed& routed) {
    const std::size_t n_used = args.n_used;
    use.resize(n_rows * n_used);
    place.resize(n_rows * n_used);
    begin.assign(args.n_experts + 1, 0);
    for (std::size_t u = 0; u < use.size(); ++u)
      place[u] = begin[static_cast<std::size_t>(routed(u / n_used)[u % n_used]) + 1]++;
    for (std::size_t e = 0; e < args.n_experts; ++e) begin[e + 1] += begin[e];
    for (std::size_t u = 0; u < use.size(); ++u) {
      place[u] += begin[static_cast<std::size_t>(routed(u / n_used)[u % n_used])];
      use[place[u]] = static_cast<std::uint32_t>(u);
    }
  }
};

}  // namespace nibble::inline v0::cpu
