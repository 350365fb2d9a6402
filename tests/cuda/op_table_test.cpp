// The operator table on the CUDA backend: every op, format and many shapes against the reference in double,
// and the same bits for every chunking. Every 23rd shape; NIBBLE_CUDA_SHAPES=1 takes them all.
#include <cstdlib>

#include "support/catch.hpp"
#include "tests/cuda/check_case.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr std::uint32_t n_shapes = 200;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t usual_stride = 67;
#else
constexpr std::uint32_t usual_stride = 23;
#endif

std::uint32_t stride() {
  const char* given = std::getenv("NIBBLE_CUDA_SHAPES");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : usual_stride;
}

// A matmul's inputs are rounded where its family does so: for formats of codes.
double tolerance(const Format& format) { return format.codes.group != 0 ? int8_tolerance : float_tolerance; }

}  // namespace

TEST_CASE("cuda: matmul of every format equals the reference") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      const std::vector<std::byte> bytes = bank(format, bank_elements);
      Nmse pool;
      for (std::uint32_t i = 1; i <= n_shapes; i += stride()) {
        const Case c = matmul_case(format, bytes, i);
        CAPTURE(i, c.tokens);
        check_case(c, tolerance(format), &pool);
      }
      REQUIRE(pool.value() <= tolerance(format));
    }
  }
}

// Of more inputs than the table has: on a device with warpgroups, two of their blocks each way.
TEST_CASE("cuda: matmul of a prompt of codes equals the reference, and itself in pieces") {
  constexpr std::uint32_t rows = 136, cols = 256, tokens = 300;
  std::uint32_t n = 0;
  for (const Format& format : formats()) {
    if (format.codes.group == 0 || n++ % (stride() == 1 ? 1 : 6) != 0) continue;
    CAPTURE(format.name);
    Case c;
    c.tokens = tokens;
    const Slot in = c.toy.inputs(cols, random_floats(std::size_t{tokens} * cols, 1));
    const WeightId w = c.toy.weight("matrix", format, rows, cols, bank(format, std::size_t{rows} * cols));
    c.toy.finish({.op = Op::matmul, .out = {}, .a = in, .b = {}, .w = w, .args = {}}, rows);
    check_case(c, int8_tolerance);
  }
}

TEST_CASE("cuda: matmul of experts in every format equals the reference") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      const std::vector<std::byte> bytes = bank(format, bank_elements);
      Nmse pool;
      for (std::uint32_t i = 1; i <= n_shapes / 4; i += stride()) {
        const Case c = expert_case(format, bytes, i);
        CAPTURE(i, c.tokens);
        check_case(c, tolerance(format), &pool);
      }
      REQUIRE(pool.value() <= tolerance(format));
    }
  }
}

TEST_CASE("cuda: embed of every format is exact") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      std::mt19937 random(2);
      for (std::uint32_t i = 0; i < n_shapes; i += stride())
        check_case(embed_case(format, random), float_tolerance);
    }
  }
}

TEST_CASE("cuda: ops that go row by row equal the reference") {
  for (std::uint32_t i = 0; i < n_shapes; i += stride()) {
    CAPTURE(i);
    check_case(route_case(i), float_tolerance);
    check_case(norm_case(static_cast<int>(i)), float_tolerance);
    check_case(rope_case(static_cast<int>(i)), float_tolerance);
  }
  for (std::uint32_t i = 0; i < 3 * n_shapes; i += stride()) {
    CAPTURE(i);
    check_case(gate_case(static_cast<int>(i)), float_tolerance);
  }
}

TEST_CASE("cuda: attend equals the reference, for every type of cache") {
  const KvType type = GENERATE(KvType::F16, KvType::F32, KvType::BF16, KvType::Q8_0);
  DYNAMIC_SECTION(to_string(type)) {
    for (std::uint32_t i = 0; i < n_shapes; i += stride()) {
      CAPTURE(i);
      std::mt19937 random(i);
      check_case(attend_case(i, type, draw(random, 200)), float_tolerance);
    }
  }
}

// One token at a time, all but the first pass of each number of spans is recorded and repeated; a hundred
// tokens at a time, none is. The window moves over spans while their number stays.
TEST_CASE("cuda: the same bits where passes are repeated, across spans of attention") {
  const auto window = GENERATE(0u, 300u);
  const std::uint32_t n = 530, heads = 1, head_dim = 16, q = 2 * heads * head_dim, kv = 2 * heads * head_dim;
  ToyPlan toy;
  BackendOptions options;
  toy.plan.kv = {{.n_kv_heads = heads, .head_dim = head_dim, .window = window}};
  options.kv_pages = static_cast<std::uint32_t>(kv_pages_needed(toy.plan.kv, n, 100));
  const Slot in = toy.inputs(q + kv, random_floats(n * std::size_t{q + kv}, 1, 2.0f));
  const Args args{.scale = 0.2f,
                  .layer = 0,
                  .n_heads = 2 * heads,
                  .n_kv_heads = heads,
                  .head_dim = head_dim,
                  .window = window};
  toy.finish(
      {.op = Op::attend, .out = {}, .a = in.part(0, q), .b = in.part(q, kv), .w = no_weight, .args = args},
      q);
  const auto backend = make_subject(options);
  backend->prepare(toy.plan, toy.weights, {});
  const std::vector<float> expected = run_tokens(*backend, toy, options, n, 100);
  REQUIRE(same_bits(run_tokens(*backend, toy, options, n, 1), expected));
}
