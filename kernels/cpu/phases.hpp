// A plan's steps in phases: what goes row by row, then what needs all rows at once. Threads meet only there.
// Found when a plan is laid out; run by pass.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/model/plan.hpp"

namespace nibble::inline v0::cpu {

struct WeightPlace;

// Matmuls that one phase has at most.
inline constexpr std::uint32_t most_matmuls = 8;

// Row i of every step in [first, shared) depends on nothing but row i of the steps before it, so one thread
// takes a row through all of them, and then through what steps [shared, last) need of it: its activation
// form, or its keys and values in the cache. Those are matmuls of one input in one form, or one attend, or
// none. Matmuls of experts need all rows to be routed first, so their input is converted then.
struct Phase {
  std::uint32_t first, shared, last;
  Rows rows;            // of the part that goes row by row
  std::uint64_t width;  // floats that are written for each row
};

std::vector<Phase> find_phases(const Plan& plan, std::span<const WeightPlace> weights);

}  // namespace nibble::inline v0::cpu
