// Rows of floats as the tensor cores' other operand: byte for byte what one loop over the columns makes of
// them, by whatever kernel converts them, in both orders. On the emulator.
#include "kernels/cuda/activations.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

#include "kernels/cuda/emulated.hpp"
#include "kernels/cuda/row_kernels.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace nibble::cuda;

namespace {

constexpr std::byte untouched{0xcd};

// A row of inputs converted by one loop.
struct Converted {
  std::vector<std::uint16_t> halves;               // (padded cols)
  std::vector<std::array<std::uint16_t, 2>> sums;  // of 16 columns each: high, low
  float inverse = 0;

  explicit Converted(std::span<const float> row) : halves(activation_layout(narrow(row)).cols) {
    int exponent = -127 + 10;
    for (const float x : row)
      if (std::isfinite(x) && x != 0) exponent = std::max(exponent, std::ilogb(x));
    inverse = std::ldexp(1.0f, exponent - 9);
    for (std::size_t c = 0; c < row.size(); ++c)
      halves[c] = f32_to_f16(row[c] * std::ldexp(1.0f, 9 - exponent));
    for (std::size_t first = 0; first < halves.size(); first += 16) add_sum(first);
  }
  static std::uint32_t narrow(std::span<const float> row) { return static_cast<std::uint32_t>(row.size()); }

  // Columns 2 c, 2 c + 1, 2 c + 8, 2 c + 9 in order; then of c = 0 to 3 pairs, and both pairs.
  void add_sum(std::size_t first) {
    float of[4];
    for (std::size_t c = 0; c < 4; ++c) {
      of[c] = 0;
      for (const std::size_t col : {2 * c, 2 * c + 1, 2 * c + 8, 2 * c + 9})
        of[c] += f16_to_f32(halves[first + col]);
    }
    const float sum = (of[0] + of[1]) + (of[2] + of[3]);
    const std::uint16_t high = f32_to_f16(sum);
    sums.push_back({high, f32_to_f16(sum - f16_to_f32(high))});
  }
};

// As activations.hpp draws it; the 12 bytes at a row's end are nobody's.
std::vector<std::byte> in_rows(const std::vector<Converted>& rows, std::uint32_t cols) {
  const ActivationLayout layout = activation_layout(cols);
  std::vector<std::byte> bytes(rows.size() * layout.bytes(), untouched);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::byte* row = bytes.data() + i * layout.bytes();
    for (std::uint32_t at = 0; at < layout.cols; ++at) {
      const std::uint32_t c = at / 8 % 4, j = at % 8,
                          col = at / 32 * 32 + j / 4 * 16 + j / 2 % 2 * 8 + 2 * c + j % 2;
      std::memcpy(row + 2 * at, &rows[i].halves[col], 2);
    }
    for (std::uint32_t s = 0; s < layout.cols / 16; ++s) {
      std::byte* of_tile = row + layout.sums() + s / 4 * 16 + s % 4 * 2;
      std::memcpy(of_tile, &rows[i].sums[s][0], 2);
      std::memcpy(of_tile + 8, &rows[i].sums[s][1], 2);
    }
    std::memcpy(row + layout.inverse(), &rows[i].inverse, 4);
  }
  return bytes;
}
std::vector<std::byte> in_tiles(const std::vector<Converted>& rows, std::uint32_t cols) {
  const ActivationTiles tiles = activation_tiles(cols, static_cast<std::uint32_t>(rows.size()));
  std::vector<std::byte> bytes(tiles.bytes(), untouched);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::uint32_t col = 0; col < tiles.cols; ++col)
      std::memcpy(
          bytes.data() + tiles.halves(col) + i / 8 * 512 + col % 32 / 8 * 128 + i % 8 * 16 + col % 8 * 2,
          &rows[i].halves[col], 2);
    for (std::uint32_t s = 0; s < tiles.cols / 16; ++s) {
      std::byte* of_tile = bytes.data() + tiles.sums(s / 4) + 16 * i + s % 4 * 2;
      std::memcpy(of_tile, &rows[i].sums[s][0], 2);
      std::memcpy(of_tile + 8, &rows[i].sums[s][1], 2);
    }
    std::memcpy(bytes.data() + tiles.inverses() + 4 * i, &rows[i].inverse, 4);
  }
  return bytes;
}

// Rows `stride` apart that end the memory, as a sanitizer is to see: of usual numbers, with one that is none,
// with infinities, of zeros, of numbers next to them, and of all magnitudes.
struct Inputs {
  std::uint32_t cols, stride;
  std::vector<float> floats;

  Inputs(std::uint32_t cols_, std::uint32_t stride_, std::size_t first) : cols(cols_), stride(stride_) {
    std::mt19937 random(cols);
    std::normal_distribution<float> normal;
    floats.resize(first + 5 * std::size_t{stride} + cols);
    for (float& x : floats) x = normal(random);
    float* row = floats.data() + first;
    row[stride + cols / 3] = NAN;
    row[2 * stride + cols / 2] = INFINITY;
    row[2 * stride + cols - 1] = -INFINITY;
    std::fill_n(row + 3 * stride, cols, 0.0f);
    for (std::uint32_t c = 0; c < cols; ++c) {
      row[4 * stride + c] *= std::numeric_limits<float>::denorm_min() * 1000;
      row[5 * stride + c] *= std::ldexp(1.0f, static_cast<int>(random() % 254) - 127);
    }
  }
};
constexpr std::uint32_t n_rows = 6;

void check_norm(const NormOfGroup& norm, const float* in, const float* got) {
  double squares = 0, difference = 0, square = 0;
  for (std::uint32_t c = 0; c < norm.group; ++c) squares += double{in[c]} * in[c];
  if (!std::isfinite(float(squares))) return;  // what is no number has no norm
  for (std::uint32_t c = 0; c < norm.group; ++c) {
    const double expected =
        in[c] / std::sqrt(squares / norm.group + double{norm.eps}) * double{norm.weight[c]};
    difference += (got[c] - expected) * (got[c] - expected);
    square += expected * expected;
  }
  CHECK(difference <= 1e-11 * square);
}

}  // namespace

TEST_CASE("activations: converted rows are what a loop makes of them, byte for byte") {
  struct Shape {
    std::uint32_t cols, stride;
    std::size_t first;  // what is not a multiple of 4 is loaded float by float
  };
  for (const auto& [cols, stride, first] :
       {Shape{64, 64, 0}, Shape{96, 100, 0}, Shape{96, 97, 0}, Shape{2048, 2048, 0}, Shape{2080, 2080, 2},
        Shape{14336, 14336, 0}, Shape{16384, 16384, 0}, Shape{16416, 16416, 0}, Shape{33000, 33001, 1}}) {
    CAPTURE(cols, stride, first);
    const auto runtime = make_emulated_runtime();
    const Inputs inputs(cols, stride, first);
    std::vector<Converted> expected;
    for (std::uint32_t i = 0; i < n_rows; ++i)
      expected.emplace_back(std::span(inputs.floats).subspan(first + std::size_t{i} * stride, cols));
    const auto converted = [&](std::uint32_t tiles, bool by_pieces, std::size_t bytes) {
      std::vector<std::byte> out(bytes, untouched);
      std::byte* device = runtime->allocate(bytes);
      runtime->upload(device, out.data(), bytes);
      runtime->launch({.x = n_rows,
                       .y = by_pieces ? ConvertActivations::Row::pieces : 1,
                       .shared_bytes = ConvertActivations::shared_bytes},
                      ConvertActivations{inputs.floats.data() + first, stride, nullptr, 1, cols, device,
                                         tiles, by_pieces});
      runtime->download(out.data(), device, bytes);
      return out;
    };
    const std::vector<std::byte> rows = in_rows(expected, cols), tiles = in_tiles(expected, cols);
    CHECK((converted(0, false, rows.size()) == rows));
    CHECK((converted(0, true, rows.size()) == rows));
    CHECK((converted(n_rows, false, tiles.size()) == tiles));
  }
}

TEST_CASE("activations: a norm of rows wider than a block holds is near it") {
  const std::uint32_t width = Norm::Row::cols + 32;
  const auto runtime = make_emulated_runtime();
  const Inputs inputs(width, width, 0);
  const NormOfGroup norm{inputs.floats.data(), width, 1e-5f};
  std::vector<float> out(inputs.floats.size());
  runtime->launch({n_rows, 1, Norm::shared_bytes},
                  Norm{{inputs.floats.data(), width, nullptr}, norm, {out.data(), width, n_rows, width}, {}});
  runtime->synchronise();
  for (std::size_t i = 0; i < n_rows; ++i)
    check_norm(norm, inputs.floats.data() + i * width, out.data() + i * width);
}

TEST_CASE("activations: sums with norms before and behind, and conversion, have the bits of each by itself") {
  // Of a thread's one piece of columns, and of several; float by float.
  for (const auto& [width, stride] : {std::pair{96u, 96u}, std::pair{2080u, 2080u}, std::pair{4096u, 4097u},
                                      std::pair{Norm::Row::cols, Norm::Row::cols}}) {
    for (const bool norms_before : {false, true}) {
      CAPTURE(width, stride, norms_before);
      const auto runtime = make_emulated_runtime();
      const Inputs inputs(width, stride, 0);
      const std::vector<float>& b = inputs.floats;
      const std::vector<float> weight(b.begin() + 7, b.begin() + 7 + width);
      std::vector<float> a(b.rbegin(), b.rend()), added(b), sum(a.size()), normed(a.size()), also(a.size());
      const std::size_t bytes = n_rows * activation_layout(width).bytes();
      std::vector<std::byte> converted(bytes, untouched), at_once(bytes, untouched);
      const auto output = [&](std::vector<float>& to) { return Output{to.data(), stride, n_rows, width}; };
      const NormOfGroup norm{b.data(), width, 1e-5f},
          before = norms_before ? NormOfGroup{weight.data(), width, 1e-3f} : NormOfGroup{};
      const auto conversion = [&](const std::vector<float>& in, std::byte* out) {
        return ConvertActivations{in.data(), stride, nullptr, 1, width, out};
      };
      if (norms_before)
        runtime->launch({n_rows, 1, Norm::shared_bytes},
                        Norm{{b.data(), stride, nullptr}, before, output(added), {}});
      runtime->launch({n_rows, (width + Add::threads - 1) / Add::threads},
                      Add{{a.data(), stride, nullptr}, {added.data(), stride, nullptr}, width, output(sum)});
      runtime->launch({n_rows, 1, Norm::shared_bytes},
                      Norm{{sum.data(), stride, nullptr}, norm, output(normed), {}});
      runtime->launch({n_rows, 1, ConvertActivations::shared_bytes}, conversion(normed, converted.data()));
      runtime->synchronise();
      runtime->launch({n_rows, 1, AddNorm::shared_bytes},
                      AddNorm{before,
                              {{a.data(), stride, nullptr}, {b.data(), stride, nullptr}, width, output(a)},
                              norm,
                              output(also),
                              {conversion(also, at_once.data())}});
      runtime->synchronise();
      CHECK((converted == at_once));
      for (std::size_t i = 0; i < n_rows; ++i) {
        CHECK(std::memcmp(&sum[i * stride], &a[i * stride], width * sizeof(float)) == 0);
        CHECK(std::memcmp(&normed[i * stride], &also[i * stride], width * sizeof(float)) == 0);
        check_norm(norm, &sum[i * stride], &also[i * stride]);
      }
    }
  }
}
