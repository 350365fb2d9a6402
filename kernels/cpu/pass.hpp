// One batch through one prepared plan: each phase's rows, then its shared steps, in parts that threads take.
// What CpuBackend::run does. Nothing here allocates.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>

#include "kernels/cpu/backend.hpp"

namespace nibble::inline v0::cpu {

// The most multiplications that one part of a matmul does, so that a stop is seen within 50 ms: 6 ms at
// 2.5 GMAC/s, the portable tier's speed.
inline constexpr std::size_t part_macs = std::size_t{1} << 24;

class Pass {
 public:
  Pass(Prepared& prepared, const Kernels& kernels, const BackendOptions& options, ThreadPool& pool,
       const Batch& batch, std::span<float> logits, const std::stop_token& stop)
      : p_(prepared),
        kernels_(kernels),
        options_(options),
        pool_(pool),
        batch_(batch),
        logits_(logits),
        stop_(stop) {}

  // Errors: cancelled.
  void run();

 private:
  std::size_t n_rows(Rows rows) const;
  float* row(const Slot& slot, std::size_t i) const;
  std::size_t stride(const Slot& slot) const;
  // Row of `slot` that belongs to row i of `out`.
  const float* input(const Slot& slot, const Slot& out, std::size_t i) const;
  std::size_t token(const Slot& slot, std::size_t i) const;
  std::byte* scratch(std::uint32_t thread) const;

  // work(row) for every row, in parts of about equal work; returns once a stop is requested.
  template <class Work>
  void for_rows(std::size_t rows, std::size_t width, const Work& work);

  void compute_angles();
  void rows_of(const Phase& phase);
  void shared_steps(const Phase& phase);

  // Row i of a step, or what a shared step needs of it.
  void step_row(const Step& step, std::size_t i);
  void embed(const Step& step, std::size_t i);
  void norm(const Step& step, std::size_t i);
  void rope(const Step& step, std::size_t i);
  void reorder(const Step& step, std::size_t i);
  void add(const Step& step, std::size_t i);
  void convert(const Step& step, std::size_t i);
  void store_kv(const Step& step, std::size_t i);

  void attend(const Step& step);
  // Steps of one input, in one activation form.
  void matmuls(std::span<const Step> steps, std::size_t n_tokens);
  // Puts a step's rows in the order of their experts, in their activation form.
  void gather(const Step& step, std::size_t n_tokens);
  // `n_matrices` of about this size share the threads.
  void add_split(const Step& step, std::uint32_t expert, std::size_t first, std::size_t n_tokens,
                 std::size_t n_matrices);
  void matmul_part(const MatmulSplit& split, std::size_t part, std::uint32_t thread);
  void finish(const MatmulSplit& split, std::size_t begin, std::size_t end, float* out, float scale) const;
  void scatter(const MatmulSplit& split, std::size_t first, std::size_t n_tokens, std::size_t begin,
               std::size_t end, float* tile) const;

  Prepared& p_;
  const Kernels& kernels_;
  const BackendOptions& options_;
  ThreadPool& pool_;
  const Batch& batch_;
  std::span<float> logits_;
  const std::stop_token& stop_;
};

}  // namespace nibble::inline v0::cpu
