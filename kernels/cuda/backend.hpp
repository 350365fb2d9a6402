// The CUDA backend: prepares a plan for one device and runs batches on a stream of its own.
// Implements backend/backend.hpp, over any Runtime: CUDA's (device.cu), or the emulator in tests.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/recorded_passes.hpp"

namespace nibble::inline v0::cuda {

// Memory of a runtime, of the device or of the host.
class RuntimeBytes {
 public:
  enum class Where { device, host };
  RuntimeBytes() = default;
  // Errors: out_of_memory, device_lost.
  RuntimeBytes(Runtime& runtime, Where where, std::uint64_t bytes)
      : data_(where == Where::device ? runtime.allocate(bytes) : runtime.allocate_host(bytes),
              {&runtime, where}) {}
  std::byte* data() const noexcept { return data_.get(); }

 private:
  struct GiveBack {
    Runtime* runtime;
    Where where;
    void operator()(std::byte* bytes) const noexcept {
      where == Where::device ? runtime->free(bytes) : runtime->free_host(bytes);
    }
  };
  std::unique_ptr<std::byte, GiveBack> data_{nullptr, {nullptr, Where::device}};
};

// A plan with everything it needs to run: what prepare() makes and run() reads.
struct Prepared {
  const Plan* plan = nullptr;
  const Weights* weights = nullptr;
  Layout layout;
  RuntimeBytes weight_bytes, kv, activations;
  RuntimeBytes batch;   // of the host: what a batch brings along, as it is on the device once that has run
  RuntimeBytes ranked;  // of the host: RankRecords

  template <class T>
  T* weight(std::uint64_t offset) const {
    return reinterpret_cast<T*>(weight_bytes.data() + offset);
  }
  template <class T>
  T* activation(std::uint64_t offset) const {
    return reinterpret_cast<T*>(activations.data() + offset);
  }
};

class CudaBackend final : public Backend {
 public:
  // Finds out, on devices that have warpgroups, whether they are to be used (warpgroup_check.hpp); name()
  // ends with "+wgmma" then. Errors: out_of_memory, device_lost.
  CudaBackend(std::unique_ptr<Runtime> runtime, const BackendOptions& options);
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;
  ~CudaBackend() override;

  std::string_view name() const noexcept override { return name_; }
  std::uint32_t threads() const noexcept override { return 1; }
  MemoryUse plan_memory(const Plan& plan, const Weights& weights) const override;
  std::vector<WeightPlacement> placements(const Plan& plan, const Weights& weights) const override;
  void prepare(const Plan& plan, const Weights& weights, const Watch& watch) override;
  void run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) override;
  bool run_ranked(const Batch& batch, const RankOptions& options, std::span<RankedRow> rows,
                  const std::stop_token& stop) override;
  void copy_pages(std::span<const PageCopy> copies) override;
  void read_page(PageId page, std::span<std::byte> out) const override;
  void write_page(PageId page, std::span<const std::byte> in) override;

 private:
  BackendOptions options_;
  std::unique_ptr<Runtime> runtime_;
  std::string name_;
  Prepared prepared_;  // after runtime_: its memory is given back first
  Passes passes_;
};

// Fills the block of weights. Errors: cancelled, out_of_memory, device_lost.
void upload_weights(const Prepared& prepared, Runtime& runtime, std::uint32_t threads, const Watch& watch);

// Throws Error(cancelled) where a stop is requested.
void throw_if_stopped(const std::stop_token& stop);

}  // namespace nibble::inline v0::cuda
