// Which expert is used by whom: uses sorted by expert, so that each expert's weights are read once.
// Between a route's output and the matmuls of experts.
#pragma once

#include "kernels/cuda/device.hpp"

namespace nibble::inline v0::cuda {

// Uses of experts sorted by expert. A use is i * n_used + j, the j-th expert of row i.
struct ExpertGroup {
  std::uint32_t expert, begin, end;  // places [begin, end) of the sorted uses
};

// One block: every expert that is used once or more becomes a group, by its number; the others are empty.
struct GroupUses {
  static constexpr std::uint32_t threads = 256;
  const float* routed;
  std::uint32_t routed_stride;
  const std::uint32_t* routed_from;  // or null
  std::uint32_t n_uses, n_used, n_experts;
  ExpertGroup* groups;     // (n_groups)
  std::uint32_t n_groups;  // the lesser of n_uses and n_experts
  std::uint32_t* uses;     // (n_uses)

  // In shared memory: (n_experts) uses of each expert.
  NIBBLE_DEVICE void operator()() const {
    auto* counts = reinterpret_cast<std::uint32_t*>(device::shared());
    for (std::uint32_t e = device::thread(); e < n_experts; e += threads) {
      std::uint32_t n = 0;
      for (std::uint32_t u = 0; u < n_uses; ++u) n += expert(u) == e;
      counts[e] = n;
    }
    device::sync_block();
    std::uint32_t group = 0, begin = 0;
    for (std::uint32_t e = 0; e < n_experts; ++e) {
      const std::uint32_t n = counts[e];
      if (n == 0) continue;
      if (e % threads == device::thread()) {
        groups[group] = {e, begin, begin + n};
        for (std::uint32_t u = 0, at = begin; u < n_uses; ++u)
          if (expert(u) == e) uses[at++] = u;
      }
      begin += n;
      ++group;
    }
    for (group += device::thread(); group < n_groups; group += threads) groups[group] = {0, n_uses, n_uses};
  }

 private:
  NIBBLE_DEVICE std::uint32_t expert(std::uint32_t use) const {
    const std::uint32_t i = use / n_used;
    return static_cast<std::uint32_t>(
        routed[std::size_t{routed_from == nullptr ? i : routed_from[i]} * routed_stride + use % n_used]);
  }
};

}  // namespace nibble::inline v0::cuda
