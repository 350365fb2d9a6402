// Integer dot products of every tier: exact where codes and activations are at their largest and sums in too
// few bits would saturate; and the same bits from tiers that share a name.
#include "kernels/backends.hpp"
#include "kernels/cpu/dispatch.hpp"
#include "nibble/core/aligned_bytes.hpp"
#include "nibble/quant/formats.hpp"
#include "support/catch.hpp"
#include "tests/kernels/toy_plan.hpp"

using namespace nibble;

namespace {

constexpr std::size_t rows = 16, cols = 512, tokens = 24;

// Row r holds its format's lowest or highest level, one after the other as r's bits say; scales are 1 or the
// largest there are.
std::vector<std::byte> extreme_rows(const Format& format) {
  std::uint8_t low = 0, high = static_cast<std::uint8_t>((1u << format.codes.code_bits) - 1);
  if (format.codes.code_bits == 8) low = 0x80, high = 0x7f;
  if (const std::int8_t* levels = format.codes.levels) {
    low = static_cast<std::uint8_t>(std::min_element(levels, levels + 16) - levels);
    high = static_cast<std::uint8_t>(std::max_element(levels, levels + 16) - levels);
  }
  std::vector<std::byte> bytes(rows * row_bytes(format, cols));
  for (std::size_t b = 0; b < bytes.size() / format.block_bytes; ++b) {
    const std::size_t row = b / (cols / format.block_size);
    BlockParts parts{};
    for (std::size_t i = 0; i < format.block_size; ++i) parts.code[i] = row >> i % 4 & 1 ? high : low;
    const std::size_t groups = format.block_size / format.codes.group;
    if (format.codes.scale_bits != 0)
      std::fill_n(parts.scale, groups,
                  static_cast<std::uint8_t>((1u << std::min<int>(7, format.codes.scale_bits)) - 1));
    if (format.codes.min_bits != 0)
      std::fill_n(parts.min, groups, static_cast<std::uint8_t>((1u << format.codes.min_bits) - 1));
    parts.d = format.codes.d_is_e8m0 ? 128 : 0x3c00;
    parts.m = format.codes.has_m ? 0x3c00 : 0;
    format.join(parts, bytes.data() + b * format.block_bytes);
  }
  return bytes;
}

// Token t is ±1, signs as t's bits say.
std::vector<float> extreme_tokens() {
  std::vector<float> in(tokens * cols);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = i / cols >> i % 4 & 1 ? 1.0f : -1.0f;
  return in;
}

std::vector<float> multiply(const cpu::MatmulKernel& kernel, const Format& format,
                            const std::vector<std::byte>& weights, const std::vector<float>& in,
                            std::size_t token_step) {
  cpu::Matrix matrix{.format = &format, .rows = rows, .cols = cols, .bytes = weights.data()};
  AlignedBytes packed;
  if (kernel.pack != nullptr) {
    packed = AlignedBytes(kernel.packed_bytes(format, rows, cols));
    kernel.pack({.matrix = matrix, .row_begin = 0, .row_end = rows, .packed = packed.data()});
    matrix.bytes = packed.data();
  }
  const std::size_t stride = kernel.form->bytes(cols);
  const AlignedBytes converted(stride * tokens), scratch(kernel.scratch_bytes(cols));
  for (std::size_t t = 0; t < tokens; ++t)
    kernel.form->convert(in.data() + t * cols, cols, converted.data() + t * stride);
  std::vector<float> out(tokens * rows);
  for (std::size_t t = 0; t < tokens; t += token_step) {
    kernel.run({.matrix = matrix,
                .row_begin = 0,
                .row_end = rows,
                .activations = converted.data() + t * stride,
                .n_tokens = token_step,
                .out = out.data() + t * rows,
                .out_stride = rows,
                .scratch = scratch.data()});
  }
  return out;
}

}  // namespace

TEST_CASE("the largest codes meet the largest activations without a sum that saturates") {
  const std::vector<float> in = extreme_tokens();
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    for (const Format& format : formats()) {
      if (format.codes.group == 0) continue;
      const std::vector<std::byte> weights = extreme_rows(format);
      std::vector<float> decoded(rows * cols), expected(tokens * rows);
      format.decode(weights.data(), decoded.data(), rows * cols);
      float largest = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < cols; ++k) sum += decoded[i % rows * cols + k] * in[i / rows * cols + k];
        expected[i] = static_cast<float>(sum);
        largest = std::max(largest, std::abs(expected[i]));
      }
      const cpu::MatmulKernel& kernel = cpu::Kernels(*tier.table).matmul(format, rows, cols);
      for (std::size_t step : {std::size_t{1}, std::size_t{3}, tokens}) {
        const std::vector<float> got = multiply(kernel, format, weights, in, step);
        float error = 0;
        for (std::size_t i = 0; i < got.size(); ++i) error = std::max(error, std::abs(got[i] - expected[i]));
        INFO(kernel.name << ' ' << format.name << ' ' << step);
        CHECK(error <= 1e-6f * largest);
      }
    }
  }
}

TEST_CASE("tiers of one name give the same bits") {
  const std::vector<float> in = random_floats(tokens * cols, 1);
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    const cpu::KernelTable& first = cpu::find_tier(tier.table->tier);
    if (&first == tier.table) continue;
    for (const Format& format : formats()) {
      if (format.codes.group == 0) continue;
      const std::vector<float> values = random_floats(rows * cols, 2);
      std::vector<std::byte> weights(rows * row_bytes(format, cols));
      format.encode(values.data(), weights.data(), values.size(), nullptr);
      const cpu::MatmulKernel &a = cpu::Kernels(first).matmul(format, rows, cols),
                              &b = cpu::Kernels(*tier.table).matmul(format, rows, cols);
      INFO(a.name << ' ' << b.name << ' ' << format.name);
      CHECK(same_bits(multiply(a, format, weights, in, 8), multiply(b, format, weights, in, tokens)));
    }
  }
}
