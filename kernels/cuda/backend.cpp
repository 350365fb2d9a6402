// Preparing a plan: check, lay out, take memory, fill it (upload.cpp).
// Running it is pass.cpp's.
#include "kernels/cuda/backend.hpp"

#include <cstring>

#include "kernels/cuda/pass.hpp"
#include "kernels/cuda/warpgroup_check.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0::cuda {

void throw_if_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = "cuda backend"});
}

CudaBackend::CudaBackend(std::unique_ptr<Runtime> runtime, const BackendOptions& options)
    : options_(options), runtime_(std::move(runtime)), name_(runtime_->name()) {
  runtime_->use_warpgroups(warpgroups_agree(*runtime_));
  if (runtime_->uses_warpgroups()) name_ += "+wgmma";
}

// A pass may have begun that nobody waits for.
CudaBackend::~CudaBackend() {
  try {
    runtime_->synchronise();
  } catch (const Error&) {  // nothing is left to be done on a lost device
  }
}

MemoryUse CudaBackend::plan_memory(const Plan& plan, const Weights& weights) const {
  return translate_errors([&] {
    check_plan(plan, weights);
    return lay_out(plan, weights, options_).memory;
  });
}

std::vector<WeightPlacement> CudaBackend::placements(const Plan& plan, const Weights& weights) const {
  return translate_errors([&] {
    check_plan(plan, weights);
    std::vector<WeightPlacement> placements;
    for (const WeightPlace& place : lay_out(plan, weights, options_).weights) {
      std::string kernel = place.floats ? "floats" : "unused";
      if (place.family != nullptr) kernel = std::string(place.family->name) + "/cuda";
      placements.push_back({std::move(kernel), place.bytes, false});
    }
    return placements;
  });
}

void CudaBackend::prepare(const Plan& plan, const Weights& weights, const Watch& watch) {
  translate_errors([&] {
    check_plan(plan, weights);
    Prepared p{.plan = &plan,
               .weights = &weights,
               .layout = lay_out(plan, weights, options_),
               .weight_bytes = {},
               .kv = {},
               .activations = {},
               .batch = {},
               .ranked = {}};
    const MemoryUse& memory = p.layout.memory;
    using Where = RuntimeBytes::Where;
    p.weight_bytes = RuntimeBytes(*runtime_, Where::device, memory.weights);
    p.kv = RuntimeBytes(*runtime_, Where::device, memory.kv);
    p.activations = RuntimeBytes(*runtime_, Where::device, memory.activations);
    p.batch = RuntimeBytes(*runtime_, Where::host, p.layout.in_batch.words * sizeof(std::uint32_t));
    std::memset(p.batch.data(), 0, p.layout.in_batch.words * sizeof(std::uint32_t));
    p.ranked = RuntimeBytes(*runtime_, Where::host, p.layout.ranking.host_bytes());
    upload_weights(p, *runtime_, options_.threads, watch);
    prepared_ = std::move(p);
  });
}

void CudaBackend::run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) {
  translate_errors([&] {
    check_batch(batch, *prepared_.plan, *prepared_.weights, options_, logits.size());
    run_batch(prepared_, passes_, *runtime_, options_, batch, {.logits = logits}, stop);
  });
}

bool CudaBackend::run_ranked(const Batch& batch, const RankOptions& options, std::span<RankedRow> rows,
                             const std::stop_token& stop) {
  if (rows.size() > prepared_.layout.ranking.rows) return false;
  translate_errors([&] {
    const std::uint64_t vocab_size = prepared_.plan->vocab_size;
    check_batch(batch, *prepared_.plan, *prepared_.weights, options_, rows.size() * vocab_size);
    run_batch(prepared_, passes_, *runtime_, options_, batch, {.ranking = options, .ranked = rows}, stop);
  });
  return true;
}

void CudaBackend::copy_pages(std::span<const PageCopy> copies) {
  if (!copies.empty()) passes_.ahead = {};
  const std::uint64_t bytes = prepared_.layout.page_bytes;
  for (const PageCopy& copy : copies)
    runtime_->copy(prepared_.kv.data() + copy.to * bytes, prepared_.kv.data() + copy.from * bytes, bytes);
}

void CudaBackend::read_page(PageId page, std::span<std::byte> out) const {
  runtime_->download(out.data(), prepared_.kv.data() + page * prepared_.layout.page_bytes, out.size());
  runtime_->synchronise();
}

// What has begun may have read another text there.
void CudaBackend::write_page(PageId page, std::span<const std::byte> in) {
  passes_.ahead = {};
  runtime_->upload(prepared_.kv.data() + page * prepared_.layout.page_bytes, in.data(), in.size());
  runtime_->synchronise();
}

}  // namespace nibble::inline v0::cuda
