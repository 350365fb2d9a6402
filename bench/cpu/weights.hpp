// A matrix of weights of any format as its file would have it, and packed for a kernel.
// What the matmul and packing benchmarks work on.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/dispatch.hpp"
#include "nibble/quant/formats.hpp"

namespace bench {

namespace cpu = nibble::cpu;

struct MatrixShape {
  std::size_t rows, cols;
};
// Of 1B-class models: attention, and both directions of the feed-forward layer.
inline constexpr MatrixShape shapes[] = {{2048, 2048}, {8192, 2048}, {2048, 8192}};

// "Q4_0/2048x8192"
std::string describe(const nibble::Format& format, const MatrixShape& shape);

// (rows, cols) as they lie in a file; all rows are the same.
std::vector<std::byte> make_file_bytes(const nibble::Format& format, const MatrixShape& shape);

// Calls work(tier, kernel, format, shape) for every tier that runs here and every format and shape that it
// has a kernel of its own for.
template <class Work>
void for_each_kernel(const Work& work) {
  const cpu::Kernels portable(*cpu::tiers().back().table);
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    const cpu::Kernels kernels(*tier.table);
    for (const nibble::Format& format : nibble::formats()) {
      for (const MatrixShape& shape : shapes) {
        const cpu::MatmulKernel& kernel = kernels.matmul(format, shape.rows, shape.cols);
        const bool inherited = &kernel == &portable.matmul(format, shape.rows, shape.cols);
        if (!inherited || tier.table == portable.tier) work(tier, kernel, format, shape);
      }
    }
  }
}

}  // namespace bench
