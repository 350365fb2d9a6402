// The packed matrices of tensor cores: nothing lost in packing, lookup exact, matmuls near the sums in double
// and the same bits in any batch, all on the emulator.
#include "kernels/cuda/fragments_family.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "kernels/cuda/emulated.hpp"
#include "kernels/cuda/pack.hpp"
#include "quant/blocks.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace nibble::cuda;
using namespace quant_test;

namespace {

std::vector<float> random_floats(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> floats(n);
  for (float& x : floats) x = normal(random);
  return floats;
}

double nmse(const std::vector<float>& got, const std::vector<double>& expected) {
  double difference = 0, square = 0;
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    square += expected[i] * expected[i];
  }
  return difference / square;
}

// A device with warpgroups.
std::unique_ptr<Runtime> make_runtime() {
  static Emulated agreeing{.warpgroups = EmulatedWarpgroups::agree};
  return make_emulated_runtime(&agreeing);
}

// A matrix, or one for each expert, as a file has it and as the emulated device does.
struct Packed {
  Packed(Runtime& runtime, const Format& format, std::uint32_t rows, std::uint32_t cols, std::uint32_t n = 1)
      : file(n * rows * row_bytes(format, cols)), decoded(std::size_t{n} * rows * cols) {
    const std::vector<float> weights = random_floats(decoded.size(), 11);
    format.encode(weights.data(), file.data(), weights.size(), nullptr);
    format.decode(file.data(), decoded.data(), decoded.size());
    const std::uint64_t tile = fragments_family.tile_bytes(format, cols);
    const std::uint64_t expert = ((rows + tile_rows - 1) / tile_rows * tile + 255) / 256 * 256;
    std::byte* device = runtime.allocate(n * expert);
    for (std::uint32_t e = 0; e < n; ++e) {
      for (std::uint32_t row = 0; row < rows; row += tile_rows) {
        fragments_family.pack_tile(format, file.data() + (e * rows + row) * row_bytes(format, cols),
                                   std::min(rows - row, tile_rows), cols,
                                   device + e * expert + row / tile_rows * tile);
      }
    }
    matrix = {.format = &format, .rows = rows, .cols = cols, .bytes = device, .expert_bytes = expert};
  }

  std::vector<std::byte> file;
  std::vector<float> decoded;  // (n, rows, cols)
  DeviceMatrix matrix;
};

template <class T>
T* to_device(Runtime& runtime, const std::vector<T>& host) {
  std::byte* device = runtime.allocate(host.size() * sizeof(T));
  runtime.upload(device, reinterpret_cast<const std::byte*>(host.data()), host.size() * sizeof(T));
  return reinterpret_cast<T*>(device);
}

// The matmul of these inputs, (n, cols), with everything else as `work` has it.
std::vector<float> multiply(Runtime& runtime, Multiply work, const std::vector<float>& in, std::uint32_t n,
                            BlockShape shape) {
  const std::uint32_t uses = n * work.n_used, inputs = work.own_inputs ? uses : n;
  const std::uint32_t width = work.matrix.rows / (work.gated ? 2 : 1) * std::max(1u, work.n_used);
  work.in = to_device(runtime, in);
  work.in_stride = static_cast<std::uint32_t>(in.size() / n);
  work.n_rows = n;
  work.scratch = runtime.allocate(fragments_family.scratch_bytes(work.matrix.cols, inputs, uses));
  work.out = to_device(runtime, std::vector<float>(n * width, NAN));
  work.out_stride = width;
  multiply_in(runtime, work, shape);
  return {work.out, work.out + n * width};
}

// Rows of `in` times the matrix, in double.
std::vector<double> product(const Packed& packed, std::size_t expert, const float* in, std::size_t n) {
  const std::size_t rows = packed.matrix.rows, cols = packed.matrix.cols;
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t r = 0; r < rows; ++r) {
      const float* weight = packed.decoded.data() + (expert * rows + r) * cols;
      double sum = 0;
      for (std::size_t k = 0; k < cols; ++k) sum += double{weight[k]} * in[i * cols + k];
      out.push_back(sum);
    }
  }
  return out;
}

std::vector<const Format*> coded_formats() {
  std::vector<const Format*> coded;
  for (const Format& format : formats())
    if (fragments_family.takes(format, 1, format.block_size)) coded.push_back(&format);
  return coded;
}

}  // namespace

TEST_CASE("fragments keep every bit of every format and ragged shape") {
  REQUIRE(coded_formats().size() + 3 == formats().size());
  for (const Format* format : coded_formats()) {
    CAPTURE(format->name);
    for (const std::size_t rows : {1, 7, 8, 9, 16}) {
      for (const std::size_t blocks : {1, 2, 3, 5}) {
        const std::size_t cols = blocks * format->block_size;
        const std::vector<std::byte> file = random_bytes(rows * blocks * format->block_bytes, 17);
        std::vector<std::byte> packed(fragment_bytes(*format, rows, cols), std::byte{0xcd}),
            back(file.size());
        pack_fragments(*format, file.data(), rows, cols, packed.data());
        unpack_fragments(*format, packed.data(), rows, cols, back.data());
        REQUIRE(back == file);
      }
    }
  }
}

TEST_CASE("fragments cost little") {
  for (const Format* format : coded_formats()) {
    CAPTURE(format->name);
    CHECK(double(fragment_bytes(*format, 4096, 4096)) <= 1.037 * 4096 * double(row_bytes(*format, 4096)));
  }
}

TEST_CASE("a row looked up in fragments is the row that the format decodes") {
  for (const Format* format : coded_formats()) {
    CAPTURE(format->name);
    const auto runtime = make_emulated_runtime();
    const std::uint32_t rows = 19, cols = 3 * format->block_size;
    const Packed packed(*runtime, *format, rows, cols);
    const std::vector<std::int32_t> tokens{18, 0, 7, 8, 15, 16, 0};
    const auto n = static_cast<std::uint32_t>(tokens.size());
    float* out = to_device(*runtime, std::vector<float>(n * (cols + 1), -1));
    fragments_family.look_up(*runtime, {.matrix = packed.matrix,
                                        .tokens = to_device(*runtime, tokens),
                                        .n_rows = n,
                                        .out = out,
                                        .out_stride = cols + 1,
                                        .scale = 3.25f});
    int wrong = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      const float* row = packed.decoded.data() + static_cast<std::uint32_t>(tokens[i]) * cols;
      for (std::uint32_t c = 0; c < cols; ++c) wrong += out[i * (cols + 1) + c] != 3.25f * row[c];
      wrong += out[i * (cols + 1) + cols] != -1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a matmul of fragments is near the sums in double, and the same bits in any batch") {
  for (const Format* format : coded_formats()) {
    const auto runtime = make_runtime();
    const std::uint32_t block = format->block_size;
    for (const auto& [rows, cols] :
         {std::pair{37u, 2u * std::max(256u, block)}, std::pair{16u, block}, std::pair{1u, 5 * block}}) {
      CAPTURE(format->name, rows, cols);
      const Packed packed(*runtime, *format, rows, cols);
      const std::vector<float> in = random_floats(std::size_t{41} * cols, 5);
      const Multiply work{.matrix = packed.matrix, .bias = nullptr, .scale = 1, .softcap = 0};
      const std::vector<float> all = multiply(*runtime, work, in, 41, BlockShape::some_inputs);
      CHECK(nmse(all, product(packed, 0, in.data(), 41)) <= 1e-6);
      CHECK(multiply(*runtime, work, in, 41, BlockShape::many_inputs) == all);
      // Of which the emulator computes whole blocks, 128 x 256 outputs: in one shape, which fills the ring
      // anew.
      if (rows == 37) CHECK(multiply(*runtime, work, in, 41, BlockShape::by_warpgroups) == all);
      for (const std::uint32_t n : {1u, 8u, 9u}) {
        const std::vector<float> first(in.begin(), in.begin() + n * cols);
        const std::vector<float> few = multiply(*runtime, work, first, n, BlockShape::few_inputs);
        CHECK(std::equal(few.begin(), few.end(), all.begin()));
      }
    }
  }
}

TEST_CASE("a matmul of one row converts it itself, with the bits of a launch that does") {
  struct Shape {
    const char* format;
    std::uint32_t rows, cols, launches;
  };
  for (const auto& [name, rows, cols, launches] : {Shape{"Q4_0", 40, 96, 1}, Shape{"Q4_K", 16, 4096, 1},
                                                   Shape{"Q8_0", 16, 8192, 1}, Shape{"Q5_1", 16, 8224, 2}}) {
    CAPTURE(name, rows, cols);
    Emulated counts;
    const auto runtime = make_emulated_runtime(&counts);
    const Packed packed(*runtime, *find_format(name), rows, cols);
    Multiply work{.matrix = packed.matrix};
    std::vector<float> in = random_floats(cols, 5);
    const auto of_one = [&](bool leaves_converted) {
      counts.launches = 0;
      work.leaves_converted = leaves_converted;
      return multiply(*runtime, work, in, 1, BlockShape::few_inputs);
    };
    const auto is_same = [&](std::size_t n, const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == n && b.size() == n && std::memcmp(a.data(), b.data(), n * sizeof(float)) == 0;
    };
    const std::vector<float> launched = of_one(true);
    CHECK(counts.launches == 2);
    CHECK(is_same(rows, of_one(false), launched));
    CHECK(counts.launches == launches);
    for (const float x : {INFINITY, NAN, 1e-42f, 3e38f}) {
      in[cols / 2] = x;
      CHECK(is_same(rows, of_one(false), of_one(true)));
    }
  }
}

TEST_CASE("a matmul of fragments reads the rows it is told and ends with bias, scale and soft-cap") {
  const auto runtime = make_emulated_runtime();
  const Packed packed(*runtime, *find_format("Q5_1"), 20, 96);
  const std::vector<float> in = random_floats(4 * 96, 5), bias = random_floats(20, 6);
  const std::vector<std::uint32_t> from{3, 0, 3};
  Multiply work{.matrix = packed.matrix,
                .from = to_device(*runtime, from),
                .bias = to_device(*runtime, bias),
                .scale = 0.25f,
                .softcap = 2};
  // Rows of inputs lie apart: `in` is one row that is read with a stride of its own.
  work.in = to_device(*runtime, in);
  work.in_stride = 96;
  work.n_rows = 3;
  work.out = to_device(*runtime, std::vector<float>(60, NAN));
  work.out_stride = 20;
  work.scratch = runtime->allocate(fragments_family.scratch_bytes(96, 3, 0));
  fragments_family.multiply(*runtime, work);
  const std::vector<double> sums = product(packed, 0, in.data(), 4);
  std::vector<double> expected;
  for (const std::uint32_t row : from)
    for (std::uint32_t r = 0; r < 20; ++r)
      expected.push_back(2 * std::tanh((sums[row * 20 + r] + double{bias[r]}) * 0.25 / 2));
  CHECK(nmse({work.out, work.out + 60}, expected) <= 1e-6);
}

TEST_CASE("a gated matmul of fragments has the bits of a matmul and its gate, in every shape of block") {
  constexpr std::uint32_t half = 48, cols = 256, n = 41;
  const auto runtime = make_runtime();
  for (const char* name : {"Q4_0", "Q4_K"}) {
    const Packed packed(*runtime, *find_format(name), 2 * half, cols);
    const std::vector<float> in = random_floats(std::size_t{n} * cols, 5), bias = random_floats(2 * half, 6);
    Multiply work{.matrix = packed.matrix, .bias = to_device(*runtime, bias), .scale = 0.5f};
    const std::vector<float> plain = multiply(*runtime, work, in, n, BlockShape::some_inputs);
    work.gated = true;
    for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
      CAPTURE(name, activation);
      work.activation = activation;
      std::vector<float> expected;
      for (std::uint32_t i = 0; i < n; ++i)
        for (std::uint32_t r = 0; r < half; ++r)
          expected.push_back(gated(activation, plain[2 * half * i + r], plain[2 * half * i + half + r]));
      CHECK(multiply(*runtime, work, in, n, BlockShape::many_inputs) == expected);
      CHECK(multiply(*runtime, work, in, n, BlockShape::by_warpgroups) == expected);
      CHECK(multiply(*runtime, work, in, n, BlockShape::some_inputs) == expected);
      const std::vector<float> first(in.begin(), in.begin() + 9 * cols);
      const std::vector<float> few = multiply(*runtime, work, first, 9, BlockShape::few_inputs);
      CHECK(std::equal(few.begin(), few.end(), expected.begin()));
    }
  }
}

TEST_CASE("a matmul of fragments has the same bits where it takes several blocks either way") {
  constexpr std::uint32_t rows = 160, cols = 192, n = 259;
  const auto runtime = make_runtime();
  const std::vector<float> in = random_floats(std::size_t{n} * cols, 5);
  for (const auto& [name, gated] : {std::pair{"Q4_0", false}, std::pair{"Q5_1", true}}) {
    CAPTURE(name, gated);
    const Packed packed(*runtime, *find_format(name), rows, cols);
    const Multiply work{.matrix = packed.matrix, .gated = gated};
    CHECK(multiply(*runtime, work, in, n, BlockShape::by_warpgroups) ==
          multiply(*runtime, work, in, n, BlockShape::many_inputs));
  }
}

TEST_CASE("experts of fragments: each use has its own, in every shape of block") {
  constexpr std::uint32_t n_experts = 5, rows = 21, cols = 256, n = 23, n_used = 2;
  const auto runtime = make_emulated_runtime();
  for (const char* name : {"Q4_0", "Q4_K", "MXFP4"}) {
    const Packed packed(*runtime, *find_format(name), rows, cols, n_experts);
    const std::vector<float> bias = random_floats(n_experts * rows, 8);
    std::vector<float> routed;  // (n, two experts and two weights); expert 3 is not in use
    for (std::uint32_t i = 0; i < n; ++i) {
      const float first = i % 3 == 0 ? 4.0f : 0.0f;
      routed.insert(routed.end(), {first, i % 2 == 0 ? 1.0f : 2.0f, 0.5f, 0.125f * static_cast<float>(i)});
    }
    for (const bool own : {false, true}) {
      CAPTURE(name, own);
      const std::vector<float> in = random_floats(std::size_t{n} * cols * (own ? n_used : 1), 7);
      const Multiply work{.matrix = packed.matrix,
                          .bias = to_device(*runtime, bias),
                          .scale = 1,
                          .softcap = 0,
                          .n_used = n_used,
                          .n_experts = n_experts,
                          .routed = to_device(*runtime, routed),
                          .routed_stride = 4,
                          .own_inputs = own,
                          .weighted = own};
      std::vector<double> expected;
      for (std::uint32_t i = 0; i < n; ++i) {
        for (std::uint32_t j = 0; j < n_used; ++j) {
          const auto expert = static_cast<std::uint32_t>(routed[4 * i + j]);
          const float* row = in.data() + (own ? i * n_used + j : i) * cols;
          const std::vector<double> sums = product(packed, expert, row, 1);
          for (std::uint32_t r = 0; r < rows; ++r) {
            const double x = sums[r] + double{bias[expert * rows + r]};
            expected.push_back(own ? x * double{routed[4 * i + n_used + j]} : x);
          }
        }
      }
      const std::vector<float> got = multiply(*runtime, work, in, n, BlockShape::few_inputs);
      CHECK(nmse(got, expected) <= 1e-6);
      CHECK(multiply(*runtime, work, in, n, BlockShape::some_inputs) == got);
      CHECK(multiply(*runtime, work, in, n, BlockShape::many_inputs) == got);
    }
  }
}
