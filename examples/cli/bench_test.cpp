// Counting over the plan's steps.
// See bench_test.hpp.
#include "bench_test.hpp"

#include <algorithm>
#include <cmath>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/quant/formats.hpp"

namespace cli {

namespace {

// Positions that are run together: a step of a generation, or a chunk of a prompt.
struct Span {
  std::uint32_t begin, n;  // positions of each sequence
  std::uint32_t n_seqs;
  bool outputs;  // logits are wanted of its last token
};

// Of a mixture, as many as that many tokens would use between them if each chose at random.
double matrices_read(const nibble::Step& step, double tokens) {
  if (step.args.n_experts == 0) return 1;
  const double unused = 1 - static_cast<double>(step.args.n_used) / step.args.n_experts;
  return step.args.n_experts * (1 - std::pow(unused, tokens));
}

void add_matmul(const nibble::Engine& engine, const nibble::Step& step, const Span& span, Work& work) {
  const nibble::Model& model = engine.model();
  const bool for_outputs = model.plan().buffers[step.out.buffer].rows == nibble::Rows::outputs;
  if (for_outputs && !span.outputs) return;
  const nibble::Tensor& weight = model.weights()[step.w].tensor;
  const nibble::Format* const format = nibble::find_format(weight.dtype);
  const double rows = for_outputs ? span.n_seqs : static_cast<double>(span.n_seqs) * span.n;
  const double uses = rows * std::max(1u, step.args.n_used);
  const double macs = uses * static_cast<double>(weight.shape.elements());
  work.weight_macs[static_cast<std::size_t>(probe::arithmetic_of(*format))] += macs;
  work.bytes += matrices_read(step, rows) * static_cast<double>(engine.plan().placements[step.w].bytes);
}

void add_attend(const nibble::Engine& engine, const nibble::Step& step, const Span& span, Work& work) {
  const nibble::KvLayer& layer = engine.model().plan().kv[step.args.layer];
  const std::uint32_t end = span.begin + span.n;
  double seen = 0;  // positions, by all queries of a sequence
  for (std::uint32_t at = span.begin; at < end; ++at) seen += at + 1 - nibble::first_visible(layer, at);
  work.attend_macs += 2.0 * span.n_seqs * seen * step.args.n_heads * step.args.head_dim;
  const double cached = end - nibble::first_visible(layer, span.begin);
  const std::uint64_t elements = std::uint64_t{layer.n_kv_heads} * layer.head_dim;
  const nibble::Format& format = nibble::kv_format(engine.plan().kv_type);
  work.bytes += 2.0 * span.n_seqs * cached * static_cast<double>(nibble::row_bytes(format, elements));
}

void add_span(const nibble::Engine& engine, const Span& span, Work& work) {
  for (const nibble::Step& step : engine.model().plan().steps) {
    if (step.op == nibble::Op::matmul) add_matmul(engine, step, span, work);
    if (step.op == nibble::Op::attend) add_attend(engine, step, span, work);
  }
}

}  // namespace

std::string BenchTest::name() const {
  std::string name = n_gen == 0 ? "pp" + std::to_string(n_prompt) : "tg" + std::to_string(n_gen);
  if (n_seqs != 1) name += " b" + std::to_string(n_seqs);
  if (n_depth != 0) name += " @ d" + std::to_string(n_depth);
  return name;
}

Work count_work(const nibble::Engine& engine, const BenchTest& test) {
  Work work;
  const std::uint32_t end = test.positions();
  const std::uint32_t step = test.n_gen != 0 ? 1 : engine.options().batch;
  for (std::uint32_t at = test.n_depth; at < end; at += step) {
    const std::uint32_t n = std::min(step, end - at);
    add_span(engine, {at, n, test.n_seqs, test.n_gen != 0 || at + n == end}, work);
  }
  const auto tokens = static_cast<double>(test.tokens());
  work.bytes /= tokens;
  work.attend_macs /= tokens;
  for (double& macs : work.weight_macs) macs /= tokens;
  return work;
}

Roof find_roof(const probe::Limits& limits, std::string_view tier, const Work& work) {
  using enum probe::Arithmetic;
  Roof roof;
  roof.gbps = limits.read_gbps;
  const double reading = work.bytes / limits.read_gbps / 1e9;
  const probe::Peak* const fp32_peak = limits.find(tier, fp32);
  double computing = 0;
  if (fp32_peak != nullptr) {
    const auto peak_of = [&](probe::Arithmetic type) {
      const probe::Peak* const peak = limits.find(tier, type);
      return peak != nullptr ? peak : fp32_peak;
    };
    double most = 0;
    for (const probe::Arithmetic type : {int8, bf16, fp32}) {
      const double macs = work.weight_macs[static_cast<std::size_t>(type)];
      computing += macs / peak_of(type)->gmacs / 1e9;
      if (macs > most) roof.instruction = peak_of(type)->instruction;
      most = std::max(most, macs);
    }
    roof.gmacs = work.macs() / computing / 1e9;
    roof.attend_gmacs = peak_of(bf16)->gmacs;
    computing += work.attend_macs / roof.attend_gmacs / 1e9;
  }
  roof.read_bound = reading >= computing;
  roof.seconds = std::max(reading, computing);
  return roof;
}

}  // namespace cli
