// The family that runs every format: matrices packed 32 rows together.
// The last of matrix_families(); its kernels are in rows32_kernels.hpp.
#include "kernels/cuda/rows32.hpp"

#include "kernels/cuda/rows32_kernels.hpp"

namespace nibble::inline v0::cuda {

namespace {

std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

// Calls run.operator()<F>() for the struct F of a format's header.
template <class Run, std::size_t... i>
void with_format(const Format& format, Run run, std::index_sequence<i...>) {
  const auto one = [&]<std::uint32_t number>() {
    if (format.dtype == Dtype{number}) run.template operator()<typename FormatAt<number>::type>();
  };
  (one.template operator()<format_numbers[i]>(), ...);
}

bool takes(const Format&, std::uint64_t, std::uint64_t) { return true; }

std::uint64_t tile_bytes(const Format& format, std::uint64_t cols) {
  return packed_row_tile_bytes(packed_layout(format, rows32_rows), cols);
}

void pack_tile(const Format& format, const std::byte* file_rows, std::size_t n_rows, std::size_t cols,
               std::byte* packed) {
  pack_row_tile(format, packed_layout(format, rows32_rows), file_rows, n_rows, cols, packed);
}

std::uint64_t scratch_bytes(std::uint64_t, std::uint64_t, std::uint64_t) { return 0; }

void look_up(Runtime& runtime, const LookUp& work) {
  with_format(
      *work.matrix.format,
      [&]<class F>() {
        using Kernel = LookUpRows32<F>;
        runtime.launch({work.n_rows, ceil_div(work.matrix.cols, 32 * Kernel::threads)}, Kernel{work});
      },
      EachFormat());
}

void multiply(Runtime& runtime, const Multiply& work) {
  with_format(
      *work.matrix.format,
      [&]<class F>() {
        using Kernel = MultiplyRows32<F>;
        const std::uint32_t groups =
            work.n_used == 0 ? ceil_div(work.n_rows, Kernel::tokens) : work.n_rows * work.n_used;
        runtime.launch({groups * ceil_div(work.matrix.rows, rows32_rows), 1, Kernel::shared_bytes},
                       Kernel{work, groups});
      },
      EachFormat());
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
