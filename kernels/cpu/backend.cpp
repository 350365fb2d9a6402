// Preparing a plan: check, lay out, take memory, pack (pack.cpp).
// Running it is pass.cpp's.
#include "kernels/cpu/backend.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/backends.hpp"
#include "kernels/cpu/pass.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {

namespace {

std::uint32_t thread_count(const BackendOptions& options) {
  return options.threads != 0 ? options.threads : available_cpus();
}

}  // namespace

void throw_if_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = "cpu backend"});
}

Matrix Prepared::matrix(WeightId id) const {
  const WeightPlace& place = layout.weights[id];
  const std::byte* bytes =
      place.keep == Keep::packed ? weight_bytes.data() + place.offset : (*weights)[id].tensor.bytes.data();
  return {.format = place.format, .rows = place.rows, .cols = place.cols, .bytes = bytes};
}

const float* Prepared::vector(WeightId id) const {
  return reinterpret_cast<const float*>(weight_bytes.data() + layout.weights[id].offset);
}

CpuBackend::CpuBackend(const KernelTable& tier, const BackendOptions& options)
    : options_(options),
      kernels_(tier),
      name_(std::string("cpu/").append(tier.tier)),
      pool_(thread_count(options)) {}

MemoryUse CpuBackend::plan_memory(const Plan& plan, const Weights& weights) const {
  return translate_errors([&] {
    check_plan(plan, weights);
    return lay_out(plan, weights, kernels_, options_, pool_.size()).memory;
  });
}

std::vector<WeightPlacement> CpuBackend::placements(const Plan& plan, const Weights& weights) const {
  return translate_errors([&] {
    check_plan(plan, weights);
    std::vector<WeightPlacement> placements;
    for (const WeightPlace& place : lay_out(plan, weights, kernels_, options_, pool_.size()).weights) {
      std::string kernel = "unused";
      if (place.keep == Keep::floats) kernel = "floats";
      if (place.kernel != nullptr) kernel = place.kernel->name;
      placements.push_back(
          {std::move(kernel), place.bytes, place.keep == Keep::in_place || place.keep == Keep::looked_up});
    }
    return placements;
  });
}

void CpuBackend::prepare(const Plan& plan, const Weights& weights, const Watch& watch) {
  translate_errors([&] {
    check_plan(plan, weights);
    Prepared p{.plan = &plan,
               .weights = &weights,
               .layout = lay_out(plan, weights, kernels_, options_, pool_.size()),
               .weight_bytes = {},
               .kv = {},
               .activations = {},
               .tiles = {},
               .splits = {},
               .uses = {}};
    p.weight_bytes = AlignedBytes(p.layout.memory.weights);
    p.kv = AlignedBytes(p.layout.memory.kv);
    p.activations = AlignedBytes(p.layout.memory.activations);
    reserve(p);
    pack(p, watch);
    prepared_ = std::move(p);
  });
}

void CpuBackend::reserve(Prepared& p) const {
  const std::size_t rows = std::max(options_.max_tokens, options_.max_outputs);
  std::size_t n_experts = 1, n_used = 0;
  for (const Step& step : p.plan->steps) {
    n_experts = std::max<std::size_t>(n_experts, step.args.n_experts);
    n_used = std::max<std::size_t>(n_used, step.args.n_used);
  }
  p.tiles.reserve(rows);
  p.splits.reserve(most_matmuls * n_experts);
  p.uses.begin.reserve(n_experts + 1);
  p.uses.use.reserve(rows * n_used);
  p.uses.place.reserve(rows * n_used);
}

void CpuBackend::run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) {
  translate_errors([&] {
    check_batch(batch, *prepared_.plan, *prepared_.weights, options_, logits.size());
    if (!batch.tokens.empty()) Pass(prepared_, kernels_, options_, pool_, batch, logits, stop).run();
  });
}

void CpuBackend::copy_pages(std::span<const PageCopy> copies) {
  const std::uint64_t bytes = prepared_.layout.page_bytes;
  for (const PageCopy& copy : copies)
    std::memcpy(prepared_.kv.data() + copy.to * bytes, prepared_.kv.data() + copy.from * bytes, bytes);
}

void CpuBackend::read_page(PageId page, std::span<std::byte> out) const {
  std::memcpy(out.data(), prepared_.kv.data() + page * prepared_.layout.page_bytes, out.size());
}

void CpuBackend::write_page(PageId page, std::span<const std::byte> in) {
  std::memcpy(prepared_.kv.data() + page * prepared_.layout.page_bytes, in.data(), in.size());
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(find_tier(options.isa), options);
}

}  // namespace nibble::inline v0::cpu
