// The interface every backend implements: take a plan once, then run batches.
// Behind Engine; kernels/reference, kernels/cpu and kernels/cuda are its implementations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/core/limits.hpp"
#include "nibble/core/ranked_row.hpp"
#include "nibble/core/watch.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/model/weights.hpp"

namespace nibble::inline v0 {

struct BackendOptions {
  std::uint32_t threads = 0;        // 0: one per CPU the process may use
  std::string isa = {};             // CPU tier by name; empty: the best this CPU has
  bool float64 = false;             // reference: accumulate in double
  std::uint32_t max_tokens = 512;   // of one batch
  std::uint32_t max_outputs = 512;  // rows of one batch that want logits
  std::uint32_t kv_pages = 0;
  KvType kv_type = KvType::F16;
};

// Exact bytes a prepared backend holds. Weights that every batch reads where they lie in the file count under
// `mapped`, beside the total: their pages are the system's.
struct MemoryUse {
  std::uint64_t weights = 0;
  std::uint64_t mapped = 0;
  std::uint64_t kv = 0;
  std::uint64_t activations = 0;
  std::uint64_t total() const noexcept { return weights + kv + activations; }
};

// Where one weight ended up, for `nibble inspect`.
struct WeightPlacement {
  std::string kernel;  // "portable", "codes4/avx2"
  std::uint64_t bytes = 0;
  bool in_place = false;  // read from the file's own bytes
};

// The sequences of a batch and their pages, as they are after KvCache::reserve.
struct BatchSequence {
  const KvSequence* kv = nullptr;
};

// Tokens to run together. A sequence's tokens are consecutive in the batch and their positions are
// consecutive, beginning at its KvSequence::length.
struct Batch {
  std::span<const std::int32_t> tokens;
  std::span<const std::uint32_t> positions;
  std::span<const std::uint32_t> sequence;  // index into `sequences`
  std::span<const std::uint32_t> outputs;   // indices of the tokens that want logits, increasing
  std::span<const BatchSequence> sequences;
};

class NIBBLE_API Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const noexcept = 0;  // "cpu/portable"
  virtual std::uint32_t threads() const noexcept = 0;

  // What prepare() would take, before it takes it. Errors as prepare().
  virtual MemoryUse plan_memory(const Plan& plan, const Weights& weights) const = 0;
  // Where prepare() would put each weight, by WeightId. Errors as prepare().
  virtual std::vector<WeightPlacement> placements(const Plan& plan, const Weights& weights) const = 0;
  // Called once: validates the plan, packs the weights, lays out buffers and the KV pool. Plan and weights
  // must outlive the backend. Errors: unsupported (an op or format it lacks), out_of_memory, cancelled.
  virtual void prepare(const Plan& plan, const Weights& weights, const Watch& watch) = 0;
  // Runs a batch and writes logits (outputs, vocab_size). On an error (cancelled, device_lost) the caller's
  // KV lengths stand as they were. Cancellation is seen within 50 ms. Not thread-safe.
  virtual void run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) = 0;
  // The same for the rows (outputs) in short, where logits would be far from the caller. False, and nothing
  // has been done: run() and rank() serve better. Where options.ahead allows, the batch that goes on with the
  // rows' highest tokens, or with those of options.draws, may have begun when this returns
  // (RankedRow::ahead). It writes at the positions after this batch's, in pages that are there, and is
  // otherwise not seen: its errors are those of the call that asks for it. Errors as run().
  virtual bool run_ranked(const Batch& batch, const RankOptions& options, std::span<RankedRow> rows,
                          const std::stop_token& stop);

  // Raw pages, for forking and saved states.
  virtual void copy_pages(std::span<const PageCopy> copies) = 0;
  virtual void read_page(PageId page, std::span<std::byte> out) const = 0;
  virtual void write_page(PageId page, std::span<const std::byte> in) = 0;
};

// A backend by name: "cpu", "cuda", "reference". Errors: unsupported (unknown name or tier, with those there
// are), no_device.
NIBBLE_API std::unique_ptr<Backend> make_backend(std::string_view name, const BackendOptions& options);
// The names make_backend knows.
NIBBLE_API std::vector<std::string_view> backend_names();

}  // namespace nibble::inline v0
