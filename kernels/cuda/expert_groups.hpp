// Which expert is used by whom: uses sorted by expert, so that each expert's weights are read once.
// Between a route's output and the matmuls of experts.
#pragma once

#include "kernels/cuda/device.hpp"

namespace nibble::inline v0::cuda {

// Uses of experts sorted by expert. A use is i * n_used + j, the j-th expert of row i.
struct ExpertGroup {
  std::uint32_t expert, begin, end;  // places [begin, end) of the sorted uses
};

// One block: every expert that is used once or more becomes a group, by its number; the others are empty. A
// thread looks for one expert in a slice of the rows, so that all are at work.
struct GroupUses {
  static constexpr std::uint32_t threads = 256;
  const float* routed;
  std::uint32_t routed_stride;
  const std::uint32_t* routed_from;  // or null
  std::uint32_t n_rows, n_used, n_experts;
  ExpertGroup* groups;     // (n_groups)
  std::uint32_t n_groups;  // the lesser of n_rows * n_used and n_experts
  std::uint32_t* uses;     // (n_rows, n_used)

  // (slices, n_experts) uses of each expert.
  constexpr std::uint32_t shared_bytes() const { return n_slices() * n_experts * sizeof(std::uint32_t); }

  NIBBLE_DEVICE void operator()() const {
    auto* counts = reinterpret_cast<std::uint32_t*>(device::shared());
    const std::uint32_t slices = n_slices();
    for (std::uint32_t group = device::thread(); group < n_groups; group += threads)
      groups[group] = {0, n_rows * n_used, n_rows * n_used};
    for (std::uint32_t at = device::thread(); at < slices * n_experts; at += threads) {
      std::uint32_t n = 0;
      visit(at / n_experts, at % n_experts, [&](std::uint32_t) { ++n; });
      counts[at] = n;
    }
    device::sync_block();
    for (std::uint32_t at = device::thread(); at < slices * n_experts; at += threads) {
      const std::uint32_t slice = at / n_experts, expert = at % n_experts;
      std::uint32_t group = 0, begin = 0;
      for (std::uint32_t e = 0; e < expert; ++e) {
        const std::uint32_t n = count(counts, e, slices);
        begin += n;
        group += n != 0;
      }
      const std::uint32_t n = count(counts, expert, slices);
      if (slice == 0 && n != 0) groups[group] = {expert, begin, begin + n};
      std::uint32_t* next = uses + begin + count(counts, expert, slice);
      visit(slice, expert, [&](std::uint32_t use) { *next++ = use; });
    }
  }

 private:
  constexpr std::uint32_t n_slices() const {
    const std::uint32_t most = n_experts < threads ? threads / n_experts : 1;
    return n_rows < most ? n_rows : most;
  }
  // Uses of an expert in slices [0, end).
  NIBBLE_DEVICE std::uint32_t count(const std::uint32_t* counts, std::uint32_t expert,
                                    std::uint32_t end) const {
    std::uint32_t n = 0;
    for (std::uint32_t slice = 0; slice < end; ++slice) n += counts[slice * n_experts + expert];
    return n;
  }
  // Calls f(use) for the expert's uses in a slice, in order.
  template <class F>
  NIBBLE_DEVICE void visit(std::uint32_t slice, std::uint32_t expert, const F& f) const {
    const std::uint32_t each = (n_rows - 1) / n_slices() + 1, first = slice * each;
    for (std::uint32_t i = first; i < first + each && i < n_rows; ++i) {
      const float* row = routed + std::size_t{routed_from == nullptr ? i : routed_from[i]} * routed_stride;
      for (std::uint32_t j = 0; j < n_used; ++j)
        if (static_cast<std::uint32_t>(row[j]) == expert) f(i * n_used + j);
    }
  }
};

}  // namespace nibble::inline v0::cuda
