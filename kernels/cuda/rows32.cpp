// The family of floats: matrices packed 32 rows together.
// One of matrix_families(); its kernels are in rows32_kernels.hpp.
#include "kernels/cuda/rows32.hpp"

#include "kernels/cuda/rows32_kernels.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cuda {

namespace {

std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

// Calls run.operator()<F>() for the struct F of a format's header.
template <class Run>
void with_format(const Format& format, const Run& run) {
  if (format.dtype == Dtype::F32) return run.template operator()<F32>();
  if (format.dtype == Dtype::F16) return run.template operator()<F16>();
  run.template operator()<BF16>();
}

bool takes(const Format& format, std::uint64_t, std::uint64_t) { return format.codes.group == 0; }

std::uint64_t tile_bytes(const Format& format, std::uint64_t cols) {
  return packed_row_tile_bytes(packed_layout(format, rows32_rows), cols);
}

void pack_tile(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
               std::byte* packed) {
  pack_row_tile(format, packed_layout(format, rows32_rows), file_rows, n_rows, cols, packed);
}

std::uint64_t scratch_bytes(std::uint64_t, std::uint64_t, std::uint64_t) { return 0; }

void look_up(Runtime& runtime, const LookUp& work) {
  with_format(*work.matrix.format, [&]<class F>() {
    using Kernel = LookUpRows32<F>;
    runtime.launch({work.n_rows, ceil_div(work.matrix.cols, 32 * Kernel::threads)}, Kernel{work});
  });
}

void multiply(Runtime& runtime, const Multiply& work) {
  with_format(*work.matrix.format, [&]<class F>() {
    using Kernel = MultiplyRows32<F>;
    const std::uint32_t groups =
        work.n_used == 0 ? ceil_div(work.n_rows, Kernel::tokens) : work.n_rows * work.n_used;
    runtime.launch({groups * ceil_div(work.matrix.rows, rows32_rows), 1, Kernel::shared_bytes},
                   Kernel{work, groups});
  });
}

}  // namespace

const MatrixFamily rows32{.name = "rows32",
                          .takes = takes,
                          .row_tile = rows32_rows,
                          .tile_bytes = tile_bytes,
                          .pack_tile = pack_tile,
                          .scratch_bytes = scratch_bytes,
                          .look_up = look_up,
                          .multiply = multiply};

}  // namespace nibble::inline v0::cuda
