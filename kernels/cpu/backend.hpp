// The CPU backend: prepares a plan for one tier's kernels and runs batches over a thread pool.
// Implements backend/backend.hpp; made by name, or by tests with a table of their own.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/attend.hpp"
#include "kernels/cpu/experts.hpp"
#include "kernels/cpu/layout.hpp"
#include "kernels/cpu/threads.hpp"
#include "nibble/backend/backend.hpp"
#include "nibble/core/aligned_bytes.hpp"

namespace nibble::inline v0::cpu {

// One matrix of a shared phase, and the rows it meets: parts of `tokens` by `rows` outputs each, rows running
// fastest.
struct MatmulSplit {
  const Step* step;
  std::uint32_t expert;         // 0 where there are none
  std::size_t first, n_tokens;  // of the converted rows
  std::size_t tokens, rows, row_parts;
  std::size_t end_part;  // among all of the phase
};

// A plan with everything it needs to run: what prepare() makes and run() reads.
struct Prepared {
  const Plan* plan = nullptr;
  const Weights* weights = nullptr;
  Layout layout;
  AlignedBytes weight_bytes, kv, activations;
  // Room for all that a batch may need.
  std::vector<AttendTile> tiles;
  std::vector<MatmulSplit> splits;
  ExpertUses uses;

  Matrix matrix(WeightId id) const;
  const float* vector(WeightId id) const;
};

class CpuBackend final : public Backend {
 public:
  // Errors: out_of_memory.
  CpuBackend(const KernelTable& tier, const BackendOptions& options);

  std::string_view name() const noexcept override { return name_; }
  std::uint32_t threads() const noexcept override { return pool_.size(); }
  MemoryUse plan_memory(const Plan& plan, const Weights& weights) const override;
  std::vector<WeightPlacement> placements(const Plan& plan, const Weights& weights) const override;
  void prepare(const Plan& plan, const Weights& weights, const Watch& watch) override;
  void run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) override;
  void copy_pages(std::span<const PageCopy> copies) override;
  void read_page(PageId page, std::span<std::byte> out) const override;
  void write_page(PageId page, std::span<const std::byte> in) override;

 private:
  void reserve(Prepared& prepared) const;
  void pack(const Prepared& prepared, const Watch& watch);

  BackendOptions options_;
  Kernels kernels_;
  std::string name_;
  ThreadPool pool_;
  Prepared prepared_;
};

// Throws Error(cancelled) where a stop is requested.
void throw_if_stopped(const std::stop_token& stop);

}  // namespace nibble::inline v0::cpu
