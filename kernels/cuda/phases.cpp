// Finding phases: as long as possible, whatever the architecture.
// Used by layout.cpp; pass.cpp asks again what is in one.
#include "kernels/cuda/phases.hpp"

#include <algorithm>

#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/row_kernels.hpp"

namespace nibble::inline v0::cuda {

namespace {

class Finder {
 public:
  Finder(const Plan& plan, std::span<const WeightPlace> weights)
      : plan_(plan), steps_(plan.steps), weights_(weights), uses_(weights.size()) {
    for (const Step& step : steps_) {
      for (std::uint32_t i = 0; i < n_matrices(step); ++i) {
        if (step.w != no_weight) ++uses_[step.w + i];
        if (step.op == Op::matmul && step.args.bias != no_weight) ++uses_[step.args.bias + i];
      }
    }
  }

  Phase phase_at(std::uint32_t first) const {
    if (const std::uint32_t last = end_of_matmuls(first); last > first) {
      if (is_gated(first, last)) return {PhaseKind::gated, first, last + 1};
      if (last > first + 1) return {PhaseKind::matmuls, first, last};
    }
    if (const std::uint32_t attend = attend_after(first); attend != n_steps())
      return {PhaseKind::attend, first, attend + 1};
    const std::uint32_t add = first + (is_normed_for_sum(first) ? 1 : 0);
    if (add + 1 < n_steps() && is_norm_of_sum(steps_[add], steps_[add + 1]))
      return {PhaseKind::add_norm, first, add + 2};
    return {PhaseKind::step, first, first + 1};
  }

  // Whether matmuls `next`, which follow right after `before`, find there what they read converted.
  bool shares_inputs(const Phase& before, const Phase& next) const {
    const Step &a = steps_[before.first], &b = steps_[next.first];
    return converts_inputs(a) && converts_inputs(b) && a.a == b.a && rows(a.out) == rows(b.out) &&
           (a.args.n_experts == 0) == (b.args.n_experts == 0);
  }
  bool converts_for(const Phase& before, const Phase& next) const {
    const Step &norm = steps_[before.last - 1], &b = steps_[next.first];
    return norm.op == Op::norm && norm.args.group == norm.out.width && converts_inputs(b) &&
           b.a == norm.out && rows(b.out) == rows(norm.out);
  }

 private:
  std::uint32_t n_steps() const { return static_cast<std::uint32_t>(steps_.size()); }
  Rows rows(const Slot& slot) const { return plan_.buffers[slot.buffer].rows; }

  bool is_alone(WeightId id) const { return id == no_weight || uses_[id] == 1; }
  bool can_join(const Step& s) const {
    return s.op == Op::matmul && s.args.n_experts == 0 && is_alone(s.w) && is_alone(s.args.bias);
  }
  // Only the last of joined matrices may end within a tile of rows.
  bool joins(const Step& a, const Step& b) const {
    const WeightPlace &wa = weights_[a.w], &wb = weights_[b.w];
    return can_join(b) && a.a == b.a && a.out.buffer == b.out.buffer &&
           a.out.offset + a.out.width == b.out.offset && wa.format == wb.format && wa.cols == wb.cols &&
           wa.family == wb.family && wa.rows % wa.family->row_tile == 0 && a.args.scale == b.args.scale &&
           a.args.softcap == b.args.softcap && (a.args.bias == no_weight) == (b.args.bias == no_weight);
  }
  std::uint32_t end_of_matmuls(std::uint32_t first) const {
    if (!can_join(steps_[first])) return first;
    std::uint32_t last = first + 1;
    while (last < n_steps() && joins(steps_[last - 1], steps_[last])) ++last;
    return last;
  }

  // Whether step `last` gates what the matmuls before it leave, in place.
  bool is_gated(std::uint32_t first, std::uint32_t last) const {
    if (last == n_steps() || steps_[last].op != Op::gate) return false;
    const Step &matmul = steps_[first], &gate = steps_[last];
    const MatrixFamily& family = *weights_[matmul.w].family;
    const Slot all = joined(plan_, {PhaseKind::matmuls, first, last}).out;
    const std::uint32_t half = all.width / 2;
    return family.gates && half % family.row_tile == 0 && gate.a == all.part(0, half) &&
           gate.b == all.part(half, half) && gate.out == gate.a && !is_read_after(last, gate.b);
  }
  bool is_read_after(std::uint32_t step, const Slot& slot) const {
    const auto overlaps = [&](const Slot& other) {
      return other.buffer == slot.buffer && other.offset < slot.offset + slot.width &&
             slot.offset < other.offset + other.width;
    };
    const auto end = std::min(plan_.buffers[slot.buffer].last_step + 1, n_steps());
    return overlaps(plan_.logits) ||
           std::any_of(steps_.begin() + step + 1, steps_.begin() + end,
                       [&](const Step& s) { return overlaps(s.a) || overlaps(s.b); });
  }

  bool is_norm_of_sum(const Step& add, const Step& norm) const {
    return add.op == Op::add && norm.op == Op::norm && norm.a == add.out &&
           norm.args.group == add.out.width && rows(norm.out) == rows(add.out) &&
           AddNorm::Row::holds(add.out.width);
  }
  // Whether step `first` is a norm of whole rows that the next one, a sum, alone reads.
  bool is_normed_for_sum(std::uint32_t first) const {
    if (first + 1 == n_steps()) return false;
    const Step &norm = steps_[first], &add = steps_[first + 1];
    return norm.op == Op::norm && add.op == Op::add && norm.args.group == norm.out.width &&
           add.b == norm.out && add.a.buffer != norm.out.buffer && rows(norm.out) == rows(add.out) &&
           !is_read_after(first + 1, norm.out);
  }

  // The attend that steps [first, it) prepare heads for: each slot's norm, where it has one, before its rope.
  std::uint32_t attend_after(std::uint32_t first) const {
    std::uint32_t i = first;
    while (i < n_steps() && (steps_[i].op == Op::norm || steps_[i].op == Op::rope)) ++i;
    if (i == n_steps() || steps_[i].op != Op::attend) return n_steps();
    std::uint32_t n_found = 0;
    for (const Slot& heads : {steps_[i].a, keys_of(steps_[i])}) {
      const HeadSteps found = head_steps(plan_, {PhaseKind::attend, first, i + 1}, heads);
      if (found.norm != nullptr && found.rope != nullptr && found.norm > found.rope) return n_steps();
      n_found += (found.norm != nullptr) + (found.rope != nullptr);
    }
    return n_found == i - first ? i : n_steps();
  }

  // Whole rows of them, one for each row of the output.
  bool converts_inputs(const Step& s) const {
    return s.op == Op::matmul && weights_[s.w].family->converts && weights_[s.w].cols == s.a.width;
  }

  const Plan& plan_;
  const std::vector<Step>& steps_;
  std::span<const WeightPlace> weights_;
  std::vector<std::uint32_t> uses_;  // by WeightId: of a matrix or a bias
};

}  // namespace

std::vector<Phase> find_phases(const Plan& plan, std::span<const WeightPlace> weights) {
  const Finder finder(plan, weights);
  std::vector<Phase> phases;
  for (std::uint32_t i = 0; i < plan.steps.size(); i = phases.back().last)
    phases.push_back(finder.phase_at(i));
  for (std::size_t i = 1; i < phases.size(); ++i) {
    Phase &before = phases[i - 1], &next = phases[i];
    before.converts = finder.converts_for(before, next) || finder.shares_inputs(before, next);
    next.converted = before.converts;
  }
  return phases;
}

Step joined(const Plan& plan, const Phase& phase) {
  Step step = plan.steps[phase.first];
  for (std::uint32_t i = phase.first + 1; i < phase.last && plan.steps[i].op == Op::matmul; ++i)
    step.out.width += plan.steps[i].out.width;
  return step;
}

HeadSteps head_steps(const Plan& plan, const Phase& phase, const Slot& heads) {
  const Step& attend = plan.steps[phase.last - 1];
  HeadSteps found;
  for (std::uint32_t i = phase.first; i + 1 < phase.last; ++i) {
    const Step& s = plan.steps[i];
    if (s.a != heads || s.out != heads || plan.buffers[heads.buffer].rows != Rows::tokens) continue;
    if (s.op == Op::norm && s.args.group == attend.args.head_dim) found.norm = &s;
    if (s.op == Op::rope && s.args.head_dim == attend.args.head_dim) found.rope = &s;
  }
  return found;
}

}  // namespace nibble::inline v0::cuda
