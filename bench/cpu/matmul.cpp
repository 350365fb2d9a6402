// Matmuls of every format on every tier, on one thread: shapes of 1B-class models, 1 to 512 tokens.
// The weights come from memory each time, as they do in a model.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "bench/cpu/weights.hpp"
#include "bench/probe/loops.hpp"
#include "bench/rates.hpp"
#include "nibble/core/aligned_bytes.hpp"

namespace bench {

namespace {

constexpr std::int64_t token_counts[] = {1, 2, 4, 8, 16, 64, 512};
constexpr std::size_t job_rows = 256;  // about what a thread is given at a time

std::size_t lines(std::size_t bytes) {
  return (bytes + nibble::line_bytes - 1) / nibble::line_bytes * nibble::line_bytes;
}

// One matrix over and over, packed, in more memory than caches have.
class Copies {
 public:
  Copies(const cpu::MatmulKernel& kernel, const nibble::Format& format, const MatrixShape& shape)
      : matrix_{&format, shape.rows, shape.cols, nullptr} {
    const std::vector<std::byte> file = make_file_bytes(format, shape);
    bytes_ = kernel.pack == nullptr ? file.size() : kernel.packed_bytes(format, shape.rows, shape.cols);
    n_ = beyond_caches / lines(bytes_) + 1;
    memory_ = std::make_unique<probe::Memory>(n_ * lines(bytes_));
    matrix_.bytes = file.data();
    if (kernel.pack != nullptr)
      kernel.pack({matrix_, 0, shape.rows, memory_->data()});
    else
      std::memcpy(memory_->data(), file.data(), bytes_);
    for (std::size_t i = 1; i < n_; ++i)
      std::memcpy(memory_->data() + i * lines(bytes_), memory_->data(), bytes_);
  }

  std::size_t bytes() const { return bytes_; }
  cpu::Matrix next() {
    cpu::Matrix matrix = matrix_;
    matrix.bytes = memory_->data() + turn_++ % n_ * lines(bytes_);
    return matrix;
  }

 private:
  cpu::Matrix matrix_;
  std::size_t bytes_ = 0, n_ = 0, turn_ = 0;
  std::unique_ptr<probe::Memory> memory_;
};

// Float rows in the kernel's form.
nibble::AlignedBytes make_activations(const cpu::MatmulKernel& kernel, std::size_t cols,
                                      std::size_t n_tokens) {
  const std::size_t stride = kernel.form->bytes(cols);
  nibble::AlignedBytes activations(n_tokens * stride);
  std::vector<float> row(cols);
  for (std::size_t i = 0; i < cols; ++i) row[i] = static_cast<float>(i % 17) - 8;
  for (std::size_t t = 0; t < n_tokens; ++t)
    kernel.form->convert(row.data(), cols, activations.data() + t * stride);
  return activations;
}

void run(const cpu::MatmulKernel& kernel, const cpu::Matrix& matrix, const std::byte* activations,
         std::size_t n_tokens, std::byte* scratch, std::vector<float>& out) {
  const std::size_t form_bytes = kernel.form->bytes(matrix.cols);
  for (std::size_t r = 0; r < matrix.rows; r += job_rows) {
    for (std::size_t t = 0; t < n_tokens; t += kernel.token_tile) {
      kernel.run({.matrix = matrix,
                  .row_begin = r,
                  .row_end = std::min(matrix.rows, r + job_rows),
                  .activations = activations + t * form_bytes,
                  .n_tokens = std::min(kernel.token_tile, n_tokens - t),
                  .out = out.data() + t * matrix.rows,
                  .out_stride = matrix.rows,
                  .scratch = scratch});
    }
  }
  benchmark::DoNotOptimize(out.data());
}

void add(const cpu::Tier& tier, const cpu::MatmulKernel& kernel, const nibble::Format& format,
         const MatrixShape& shape) {
  const std::string name = "matmul/" + describe(tier) + '/' + describe(format, shape);
  auto* const added = benchmark::RegisterBenchmark(
      name.c_str(), [name, &tier, &kernel, &format, shape](benchmark::State& state) {
        // One matrix's at a time: its benchmarks follow each other.
        static std::unique_ptr<Copies> copies;
        static std::string copied;
        if (std::exchange(copied, name) != name) {
          copies.reset();
          copies = std::make_unique<Copies>(kernel, format, shape);
        }
        const auto n_tokens = static_cast<std::size_t>(state.range(0));
        const nibble::AlignedBytes activations = make_activations(kernel, shape.cols, n_tokens);
        const nibble::AlignedBytes scratch(kernel.scratch_bytes(shape.cols));
        std::vector<float> out(n_tokens * shape.rows);
        for (auto _ : state) run(kernel, copies->next(), activations.data(), n_tokens, scratch.data(), out);
        report(state, static_cast<double>(copies->bytes()),
               static_cast<double>(n_tokens * shape.rows * shape.cols),
               peak_gmacs(tier, probe::arithmetic_of(format)));
      });
  for (const std::int64_t n_tokens : token_counts) added->Arg(n_tokens);
}

[[maybe_unused]] const bool added = (for_each_kernel(add), true);

}  // namespace

}  // namespace bench
