// Phases of a model of codes: which steps belong together, and that together they compute what the plan says.
#include "kernels/cuda/phases.hpp"

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/emulated.hpp"
#include "nibble/nibble.hpp"
#include "nibble/quant/formats.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace nibble::cuda;

namespace {

struct Demo {
  const Model model = Model::open(NIBBLE_SOURCE_DIR "/examples/models/demo.gguf");
  const Plan plan = model.plan(64);
  const BackendOptions options{.max_tokens = 16,
                               .max_outputs = 16,
                               .kv_pages = static_cast<std::uint32_t>(kv_pages_needed(plan.kv, 64, 16))};

  // Logits of the tokens, `at_a_time` in a pass.
  std::vector<float> run(Backend& backend, std::uint32_t at_a_time) const {
    backend.prepare(plan, model.weights(), {});
    KvCache cache(plan.kv, options.kv_pages);
    KvSequence sequence = cache.make_sequence();
    std::vector<float> all;
    for (std::uint32_t first = 0; first < 12; first += at_a_time) {
      std::vector<std::int32_t> tokens;
      std::vector<std::uint32_t> positions, outputs, zeros(at_a_time);
      for (std::uint32_t i = 0; i < at_a_time; ++i) {
        tokens.push_back(static_cast<std::int32_t>(300 + 17 * (first + i)));
        positions.push_back(first + i);
        outputs.push_back(i);
      }
      const BatchSequence sequences[] = {{&sequence}};
      std::vector<float> logits(std::size_t{at_a_time} * plan.vocab_size);
      cache.reserve(sequence, at_a_time);
      backend.run({tokens, positions, zeros, outputs, sequences}, logits, {});
      cache.commit(sequence, at_a_time);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }
};

}  // namespace

TEST_CASE("cuda: a layer of codes is seven phases, and inputs are converted where they are made") {
  const Demo demo;
  Layout layout = lay_out(demo.plan, demo.model.weights(), demo.options);
  // Steps of a layer: norm, q, k, v, two ropes, attend, output, add, norm, gate, up, gate, down, add.
  const auto is = [&](std::size_t i, PhaseKind kind, std::uint32_t first, std::uint32_t last, bool converted,
                      bool converts) {
    const Phase& phase = layout.phases[i];
    return phase.kind == kind && phase.first == first && phase.last == last && phase.converted == converted &&
           phase.converts == converts;
  };
  CHECK(is(1, PhaseKind::step, 1, 2, false, true));
  CHECK(is(2, PhaseKind::matmuls, 2, 5, true, false));
  CHECK(is(3, PhaseKind::attend, 5, 8, false, false));
  CHECK(is(4, PhaseKind::step, 8, 9, false, false));
  CHECK(is(5, PhaseKind::add_norm, 9, 11, false, true));
  CHECK(is(6, PhaseKind::gated, 11, 14, true, false));
  CHECK(is(7, PhaseKind::step, 14, 15, false, false));

  // A mix that has v in another format: by itself, of the same halves.
  layout.weights[demo.plan.steps[4].w].format = find_format("Q6_K");
  layout.phases = find_phases(demo.plan, layout.weights);
  CHECK(is(2, PhaseKind::matmuls, 2, 4, true, true));
  CHECK(is(3, PhaseKind::step, 4, 5, true, false));

  // What reads the half that is gated keeps it.
  Plan plan = demo.plan;
  plan.steps[14].a = plan.steps[13].b;
  layout.phases = find_phases(plan, layout.weights);
  CHECK(is(7, PhaseKind::matmuls, 11, 13, true, false));
}

TEST_CASE("cuda: norms before a sum are one phase with it, unless another step reads them") {
  const Model model = Model::open(NIBBLE_SOURCE_DIR "/tests/parity/fixtures/gemma2/model.gguf");
  Plan plan = model.plan(64);
  const BackendOptions options{.max_tokens = 16, .max_outputs = 16, .kv_pages = 64};
  const auto of_three = [&] {
    const std::vector<Phase> phases = lay_out(plan, model.weights(), options).phases;
    return std::ranges::count_if(phases, [&](const Phase& phase) {
      return phase.kind == PhaseKind::add_norm && phase.last == phase.first + 3;
    });
  };
  // Two a layer; the last norm has fewer rows than the sum before it.
  const auto expected = static_cast<std::ptrdiff_t>(2 * plan.kv.size() - 1);
  CHECK(of_three() == expected);
  const auto sum = std::ranges::find(plan.steps, Op::add, &Step::op);
  const auto other = std::ranges::find(sum, plan.steps.end(), Op::gate, &Step::op);
  plan.buffers[sum->b.buffer].last_step = static_cast<std::uint32_t>(other - plan.steps.begin());
  other->b = sum->b.part(0, std::min(sum->b.width, other->b.width));
  CHECK(of_three() == expected - 1);
}

TEST_CASE("cuda: a model of codes is near the reference, and the same bits token by token") {
  const Demo demo;
  CudaBackend backend(make_emulated_runtime(), demo.options);
  const std::vector<float> got = demo.run(backend, 12);
  const std::vector<float> expected = demo.run(*make_backend("reference", demo.options), 12);
  double difference = 0, square = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - double{expected[i]}) * (got[i] - double{expected[i]});
    square += double{expected[i]} * expected[i];
  }
  CHECK(difference <= 1e-5 * square);
  Emulated counts;
  CudaBackend again(make_emulated_runtime(&counts), demo.options);
  CHECK(demo.run(again, 1) == got);
  const std::size_t tokens = 12, of_a_layer = 8, others = 5;
  CHECK(counts.launches == tokens * (demo.plan.kv.size() * of_a_layer + others));
  Emulated agreeing{.warpgroups = EmulatedWarpgroups::agree},
      differing{.warpgroups = EmulatedWarpgroups::differ};
  CudaBackend warpgroups(make_emulated_runtime(&agreeing), demo.options);
  CHECK(warpgroups.name() == "cuda/emulated+wgmma");
  CHECK(demo.run(warpgroups, 12) == got);
  CHECK(CudaBackend(make_emulated_runtime(&differing), demo.options).name() == "cuda/emulated");
}
