// EngineOptions checked and completed, and what they cost: the memory plan and its budget.
// First thing an Engine does; takes nothing that grows with the model.
#include "src/engine/settings.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "nibble/core/checked.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0 {
namespace {

constexpr std::uint32_t default_context = 4'096;
constexpr std::uint32_t most_batch = 65'536;
constexpr std::uint32_t most_threads = 1'024;
// Rows of logits that a batch may ask for at once: a large vocabulary would else outweigh the model.
constexpr std::uint64_t logits_bytes = 64ull << 20;

Error bad_option(ErrorCode code, std::string field, std::uint64_t found, std::string allowed) {
  return Error({.code = code,
                .source = "engine",
                .field = std::move(field),
                .found = std::to_string(found),
                .allowed = std::move(allowed)});
}

void check_range(const char* field, std::uint32_t value, std::uint32_t most) {
  if (value == 0) throw bad_option(ErrorCode::invalid_argument, field, value, "at least 1");
  if (value > most) throw bad_option(ErrorCode::limit, field, value, "at most " + std::to_string(most));
}

bool all_matrices_are_f32(const Weights& weights) {
  for (WeightId id = 0; id < weights.size(); ++id) {
    const Tensor& tensor = weights[id].tensor;
    if (tensor.shape.rank() > 1 && tensor.dtype != Dtype::F32) return false;
  }
  return true;
}

EngineOptions complete(const Model& model, EngineOptions options) {
  const Limits& limits = model.limits();
  const std::uint32_t trained = model.config().context_length;
  if (options.context == 0) options.context = std::min({trained, default_context, limits.context});
  check_range("context", options.context, limits.context);
  check_range("sequences", options.sequences, limits.sequences);
  check_range("batch", options.batch, most_batch);
  if (options.threads != 0) check_range("threads", options.threads, most_threads);
  // A batch never holds more than all sequences do.
  options.batch = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(options.batch, std::uint64_t{options.context} * options.sequences));
  if (!options.kv) options.kv = all_matrices_are_f32(model.weights()) ? KvType::F32 : KvType::F16;
  if (options.watch.log && options.context > trained)
    options.watch.log(LogLevel::warning,
                      "context " + std::to_string(options.context) +
                          " is longer than the model was trained for: " + std::to_string(trained));
  return options;
}

// Pages for every sequence at its fullest, so that none can run out.
std::uint32_t count_pages(const Model& model, const EngineOptions& options, std::uint64_t page_bytes) {
  const auto pages =
      checked_mul(kv_pages_needed(model.plan().kv, options.context, options.batch), options.sequences);
  if (!pages || *pages >= no_page || !checked_mul(*pages, page_bytes))
    throw bad_option(ErrorCode::limit, "context", options.context,
                     "contexts whose keys and values fit into 2^32 pages and 2^64 bytes");
  return static_cast<std::uint32_t>(*pages);
}

// "1.5 GiB"
std::string readable(std::uint64_t bytes) {
  constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024; value /= 1024) ++unit;
  const auto tenths = static_cast<std::uint64_t>(value * 10 + 0.5);
  const std::string fraction = unit == 0 ? "" : "." + std::to_string(tenths % 10);
  return std::to_string(tenths / 10) + fraction + " " + units[unit];
}

void check_budget(const Model& model, const EngineOptions& options, const EnginePlan& plan) {
  const std::uint64_t budget = std::min(options.memory_budget, model.limits().memory_bytes);
  const MemoryUse& use = plan.memory;
  if (use.total() <= budget) return;
  std::array<std::pair<std::uint64_t, std::string>, 3> parts{
      {{use.weights, "weights"},
       {use.kv, "keys and values of " + std::to_string(options.sequences) + " x " +
                    std::to_string(options.context) + " positions"},
       {use.activations, "activations of " + std::to_string(options.batch) + " tokens"}}};
  std::sort(parts.begin(), parts.end(), std::greater<>());
  std::string found = readable(use.total()) + " (";
  for (const auto& [bytes, name] : parts)
    found += (&name == &parts[0].second ? "" : ", ") + name + " " + readable(bytes);
  throw Error({.code = ErrorCode::out_of_memory,
               .source = "engine",
               .field = "memory_budget",
               .found = found + ")",
               .allowed = readable(budget)});
}

}  // namespace

EngineSettings settle(const Model& model, const EngineOptions& given) {
  EngineSettings s;
  s.options = complete(model, given);
  EngineOptions& o = s.options;
  s.model_plan = std::make_unique<const Plan>(model.plan(o.context));
  const Plan& plan = *s.model_plan;
  s.page_bytes = kv_page_bytes(plan.kv, *o.kv);
  const std::uint64_t rows = logits_bytes / (sizeof(float) * plan.vocab_size);
  s.plan.outputs = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(o.batch, std::max<std::uint64_t>(rows, o.sequences)));
  s.plan.context = o.context;
  s.plan.kv_type = *o.kv;
  s.plan.kv_pages = count_pages(model, o, s.page_bytes);
  s.backend = make_backend(o.backend, {.threads = o.threads,
                                       .isa = o.isa,
                                       .float64 = o.float64,
                                       .max_tokens = o.batch,
                                       .max_outputs = s.plan.outputs,
                                       .kv_pages = s.plan.kv_pages,
                                       .kv_type = *o.kv});
  o.threads = s.backend->threads();
  s.plan.backend = s.backend->name();
  s.plan.memory = s.backend->plan_memory(plan, model.weights());
  s.plan.placements = s.backend->placements(plan, model.weights());
  check_budget(model, o, s.plan);
  return s;
}

}  // namespace nibble::inline v0
