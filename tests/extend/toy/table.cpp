// A toy CPU tier with one kernel of its own; the rest it inherits from portable.
// What tests/extend/ adds to prove that a tier is one folder and one line.
#include "kernels/cpu/table.hpp"

namespace nibble::inline v0::cpu::toy {
namespace {

void add(const float* a, const float* b, float* out, std::size_t n) {
  for (std::size_t i = n; i-- > 0;) out[i] = a[i] + b[i];
}

constexpr FloatKernels floats{.norm = nullptr, .rope = nullptr, .gate = nullptr, .add = add};

}  // namespace

extern const KernelTable table;
const KernelTable table = {.tier = "toy", .matmul = nullptr, .attend = nullptr, .floats = &floats};

}  // namespace nibble::inline v0::cpu::toy
