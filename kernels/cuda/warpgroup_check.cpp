// The matrices, the inputs, and the two kernels' outputs beside each other.
// Why: how tensor cores round the sum of sixteen products is documented nowhere, and a token's bits are to be
// the same whether it came alone or among many.
#include "kernels/cuda/warpgroup_check.hpp"

#include <bit>
#include <vector>

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/fragments_family.hpp"

namespace nibble::inline v0::cuda {
namespace {

constexpr std::uint32_t rows = 48, cols = 512, n_inputs = 72;

// Of either sign, and of all magnitudes from 2^-20 to 1.
std::vector<float> awkward_floats(std::size_t n, std::uint32_t seed) {
  std::vector<float> floats(n);
  for (float& x : floats) {
    seed = seed * 1664525u + 1013904223u;
    x = std::bit_cast<float>((seed & 0x80000000u) | (107 + (seed >> 8) % 20) << 23 | (seed >> 3 & 0x7fffffu));
  }
  return floats;
}

std::vector<float> awkward_inputs() {
  std::vector<float> in = awkward_floats(std::size_t{n_inputs} * cols, 1);
  for (std::uint32_t k = 0; k < cols; ++k) {
    in[k] = 0;                                           // nothing
    in[cols + k] = k == 77 ? 1.0f : 0.0f;                // one product
    in[2 * cols + k] = k % 2 == 0 ? 1.0f : -1.0f;        // sums of nearly nothing
    in[3 * cols + k] = k % 16 == 0 ? 1.0f : 0x1.8p-20f;  // one large among small
  }
  return in;
}

// What one matrix of a format needs on the device.
class Check {
 public:
  Check(Runtime& runtime, const Format& format) : runtime_(runtime), format_(format) {
    const std::vector<float> weights = awkward_floats(std::size_t{rows} * cols, 2);
    std::vector<std::byte> file(rows * row_bytes(format, cols)), packed(packed_bytes());
    format.encode(weights.data(), file.data(), weights.size(), nullptr);
    for (std::uint32_t row = 0; row < rows; row += fragments_family.row_tile)
      fragments_family.pack_tile(format, file.data() + row * row_bytes(format, cols),
                                 fragments_family.row_tile, cols,
                                 packed.data() + row / fragments_family.row_tile * tile_bytes());
    runtime.upload(matrix_.data(), packed.data(), packed.size());
    const std::vector<float> in = awkward_inputs();
    runtime.upload(in_.data(), reinterpret_cast<const std::byte*>(in.data()), in.size() * sizeof(float));
    runtime.synchronise();
  }

  std::vector<std::byte> output(BlockShape shape) {
    std::vector<std::byte> out(std::size_t{n_inputs} * rows * sizeof(float), std::byte{0xff});
    runtime_.upload(out_.data(), out.data(), out.size());
    multiply_in(runtime_,
                {.matrix = {.format = &format_, .rows = rows, .cols = cols, .bytes = matrix_.data()},
                 .in = reinterpret_cast<const float*>(in_.data()),
                 .in_stride = cols,
                 .n_rows = n_inputs,
                 .out = reinterpret_cast<float*>(out_.data()),
                 .out_stride = rows,
                 .scratch = scratch_.data(),
                 .on_trial = true},
                shape);
    runtime_.download(out.data(), out_.data(), out.size());
    runtime_.synchronise();
    return out;
  }

 private:
  std::uint64_t tile_bytes() const { return fragments_family.tile_bytes(format_, cols); }
  std::uint64_t packed_bytes() const { return rows / fragments_family.row_tile * tile_bytes(); }
  RuntimeBytes take(std::uint64_t bytes) {
    return RuntimeBytes(runtime_, RuntimeBytes::Where::device, bytes);
  }

  Runtime& runtime_;
  const Format& format_;
  RuntimeBytes matrix_ = take(packed_bytes()), in_ = take(std::uint64_t{n_inputs} * cols * sizeof(float)),
               out_ = take(std::uint64_t{n_inputs} * rows * sizeof(float)),
               scratch_ = take(fragments_family.scratch_bytes(cols, n_inputs, 0));
};

}  // namespace

bool warpgroups_agree(Runtime& runtime) {
  if (!runtime.has_warpgroups()) return false;
  // Groups of 32 columns and of 16, with mins and without: all that the two kernels do in different ways.
  for (const char* name : {"Q4_K", "Q6_K"}) {
    Check check(runtime, *find_format(name));
    if (check.output(BlockShape::many_inputs) != check.output(BlockShape::by_warpgroups)) return false;
  }
  return true;
}

}  // namespace nibble::inline v0::cuda
