// Which CPU tier runs: the list of those built, what each needs, and the choice of one.
// Between the CPU backend and the kernel tables.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu {

struct Tier {
  const KernelTable* table;
  std::string_view features;  // that the CPU must have, separated by spaces
};

// Every tier built in, best first; the last is portable, which is complete and needs nothing.
std::span<const Tier> tiers() noexcept;

// Whether this CPU, and the operating system for its wider registers, has a feature: "avx2", "fma", "f16c",
// "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16", "avx_vnni"; "neon", "dotprod",
// "i8mm". False for any other name.
bool has_feature(std::string_view name) noexcept;
bool runs_here(const Tier& tier) noexcept;

// The tier of this name, or the best that runs here for an empty one. Errors: unsupported (not built, or not
// for this CPU), naming those that are.
const KernelTable& find_tier(std::string_view name);

// A tier with its gaps filled from portable.
struct Kernels {
  explicit Kernels(const KernelTable& tier) noexcept;
  const MatmulKernel& matmul(const Format& format, std::size_t rows, std::size_t cols) const noexcept;

  const KernelTable* tier;
  const KernelTable* portable;
  const AttendKernel* attend;
  FloatKernels floats;
};

}  // namespace nibble::inline v0::cpu
