// Finding phases: as long as possible, whatever the architecture.
// Used by layout.cpp.
#include "kernels/cpu/phases.hpp"

#include "kernels/cpu/layout.hpp"

namespace nibble::inline v0::cpu {

std::vector<Phase> find_phases(const Plan& plan, std::span<const WeightPlace> weights) {
  const std::vector<Step>& steps = plan.steps;
  const auto n = static_cast<std::uint32_t>(steps.size());
  const auto is_shared = [](const Step& s) { return s.op == Op::matmul || s.op == Op::attend; };
  // An attend stores keys and values of all tokens, whichever rows it is asked for.
  const auto rows = [&](const Step& s) {
    return s.op == Op::attend ? Rows::tokens : plan.buffers[s.out.buffer].rows;
  };
  const auto same_input = [&](const Step& a, const Step& b) {
    return a.op == Op::matmul && b.op == Op::matmul && a.a == b.a && a.b == b.b && rows(a) == rows(b) &&
           weights[a.w].kernel->form == weights[b.w].kernel->form;
  };
  std::vector<Phase> phases;
  for (std::uint32_t i = 0; i < n;) {
    Phase phase{.first = i, .shared = 0, .last = 0, .rows = rows(steps[i]), .width = 0};
    for (; i < n && !is_shared(steps[i]) && rows(steps[i]) == phase.rows; ++i) {
      phase.width += steps[i].out.width;
    }
    phase.shared = i;
    if (i < n && is_shared(steps[i]) && rows(steps[i]) == phase.rows) {
      const bool experts = steps[i].args.n_experts != 0;
      phase.width += steps[i].op == Op::attend ? steps[i].b.width : experts ? 0 : steps[i].a.width;
      for (++i; i < n && i < phase.shared + most_matmuls && same_input(steps[phase.shared], steps[i]);) ++i;
    }
    phase.last = i;
    phases.push_back(phase);
  }
  return phases;
}

}  // namespace nibble::inline v0::cpu
