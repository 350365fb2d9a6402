// A plan's steps in phases: steps that follow each other and are one launch, or a few that belong together.
// Found when a plan is laid out; run by pass.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/model/plan.hpp"

namespace nibble::inline v0::cuda {

struct WeightPlace;

enum class PhaseKind : std::uint8_t {
  step,      // one step by itself
  matmuls,   // of one input, in one format, into columns beside each other: as one, larger matrix
  gated,     // the same, or one matmul, and the gate of its columns' halves, which no other step reads
  add_norm,  // a sum, of its second input's norm or of that itself, and its norm, each over the whole width
  attend,    // norms and ropes of heads of queries and keys, if any, and the attend that reads them
};

struct Phase {
  PhaseKind kind;
  std::uint32_t first, last;  // steps [first, last)
  // Inputs of matmuls of families that convert: whether the phase before left them converted in the scratch
  // memory, and whether this one, which ends with a norm or reads the same, is to.
  bool converted = false, converts = false;
};

// `weights`: formats, families and extents are known. A result has the same bits as of single steps.
std::vector<Phase> find_phases(const Plan& plan, std::span<const WeightPlace> weights);

// The matmuls of a phase as one, whose matrix lies where that of the first does.
Step joined(const Plan& plan, const Phase& phase);

// What is done to some heads before attention; null: nothing.
struct HeadSteps {
  const Step *norm = nullptr, *rope = nullptr;
};
// Of those of `heads` in a phase of kind attend, which ends with the attend itself.
HeadSteps head_steps(const Plan& plan, const Phase& phase, const Slot& heads);

// Where the keys of an attend's b are.
inline Slot keys_of(const Step& attend) { return attend.b.part(0, attend.b.width / 2); }

}  // namespace nibble::inline v0::cuda
