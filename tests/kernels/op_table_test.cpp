// The operator table: every op, format and many shapes, on every CPU tier present, held against the reference
// backend in double; and the same bits for every split of the work.
#include "kernels/backends.hpp"
#include "kernels/cpu/backend.hpp"
#include "support/catch.hpp"
#include "tests/kernels/op_cases.hpp"

using namespace nibble;

namespace {

#if defined(NIBBLE_EMULATED)  // a hundred times slower: fewer shapes, and the long ones small
constexpr int n_shapes = 20;
constexpr std::uint32_t two_span_seeds[] = {7, 43}, three_span_seeds[] = {7};
constexpr KvType three_span_types[] = {KvType::F16};
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // ten times slower
constexpr int n_shapes = 30;
constexpr std::uint32_t two_span_seeds[] = {6, 13, 24}, three_span_seeds[] = {23};
constexpr KvType three_span_types[] = {KvType::Q8_0};
#else
constexpr int n_shapes = 200;
constexpr std::uint32_t two_span_seeds[] = {6, 13, 24}, three_span_seeds[] = {23, 24};
constexpr KvType three_span_types[] = {KvType::F16, KvType::Q8_0};
#endif

// Rounding activations to int8 is random: over few outputs, terms that happen to cancel make any ratio.
// Shapes of this many outputs are held to the tolerance one by one, all shapes of a format together.
constexpr std::size_t enough_outputs = 256;
constexpr double int8_tolerance = 1e-4;

// What the numeric contract allows (docs/numerics.md). The portable tier keeps activations in float.
double tolerance(std::string_view tier, const Format* format) {
  if (tier == "avx512_bf16" && format != nullptr && format->dtype == Dtype::BF16) return 1e-5;
  return tier == "portable" || format == nullptr || format->codes.group == 0 ? 1e-11 : int8_tolerance;
}

// Runs a case on every tier; `format` is that of its matrix, null where it has none. `pool` gathers what the
// tiers with int8 activations are off.
void check_case(const Case& c, const Format* format, Nmse* pool = nullptr) {
  BackendOptions exact = c.options;
  exact.float64 = true;
  const auto oracle = reference::make_backend(exact);
  oracle->prepare(c.toy.plan, c.toy.weights, {});
  const std::vector<float> expected = run_tokens(*oracle, c.toy, c.options, c.tokens, c.tokens);
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    BackendOptions options = c.options;
    options.threads = 2;
    cpu::CpuBackend backend(*tier.table, options);
    backend.prepare(c.toy.plan, c.toy.weights, {});
    REQUIRE(backend.name() == std::string("cpu/").append(tier.table->tier));
    const std::vector<float> got = run_tokens(backend, c.toy, options, c.tokens, c.tokens);
    const double allowed = tolerance(tier.table->tier, format);
    if (allowed == int8_tolerance && pool != nullptr) pool->add(got, expected);
    if (allowed != int8_tolerance || expected.size() >= enough_outputs)
      REQUIRE(nmse(got, expected) <= allowed);

    // Any chunking gives the same bits.
    const std::uint32_t chunk = 1 + c.tokens / 3;
    REQUIRE(same_bits(run_tokens(backend, c.toy, options, c.tokens, chunk), got));
  }
}

}  // namespace

TEST_CASE("matmul of every format equals the reference on every tier") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      const std::vector<std::byte> bytes = bank(format, bank_elements);
      Nmse pool;
      for (std::uint32_t i = 1; i <= n_shapes; ++i) {
        const Case c = matmul_case(format, bytes, i);
        CAPTURE(i, c.tokens);
        check_case(c, &format, &pool);
      }
      if (pool.size > 0) REQUIRE(pool.value() <= int8_tolerance);
    }
  }
}

TEST_CASE("route chooses as the reference does, the first of equals, and weighs alike") {
  for (std::uint32_t i = 0; i < n_shapes; ++i) {
    check_case(route_case(i), nullptr);
  }
}

TEST_CASE("matmul of experts in every format equals the reference on every tier") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      const std::vector<std::byte> bytes = bank(format, bank_elements);
      Nmse pool;
      for (std::uint32_t i = 1; i <= n_shapes / 4; ++i) {
        const Case c = expert_case(format, bytes, i);
        CAPTURE(i, c.tokens);
        check_case(c, &format, &pool);
      }
      if (pool.size > 0) REQUIRE(pool.value() <= int8_tolerance);
    }
  }
}

TEST_CASE("embed of every format is exact on every tier") {
  for (const Format& format : formats()) {
    DYNAMIC_SECTION(format.name) {
      std::mt19937 random(2);
      for (int i = 0; i < n_shapes; ++i) {
        check_case(embed_case(format, random), nullptr);
      }
    }
  }
}

TEST_CASE("norm equals the reference on every tier") {
  for (int i = 0; i < n_shapes; ++i) {
    check_case(norm_case(i), nullptr);
  }
}

TEST_CASE("gate and add equal the reference on every tier") {
  for (int i = 0; i < 3 * n_shapes; ++i) {
    check_case(gate_case(i), nullptr);
  }
}

TEST_CASE("rope equals the reference on every tier") {
  for (int i = 0; i < n_shapes; ++i) {
    check_case(rope_case(i), nullptr);
  }
}

namespace {

// The same bits for any number of threads and tokens at a time.
void check_splits(const Case& c) {
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    std::vector<float> first;
    for (const std::uint32_t threads : {1, 2, 8}) {
      BackendOptions options = c.options;
      options.threads = threads;
      cpu::CpuBackend backend(*tier.table, options);
      backend.prepare(c.toy.plan, c.toy.weights, {});
      for (const std::uint32_t chunk : {c.tokens, threads == 8 ? 2 : 61u}) {
        const std::vector<float> got = run_tokens(backend, c.toy, options, c.tokens, chunk);
        if (first.empty()) first = got;
        REQUIRE(same_bits(got, first));
      }
    }
  }
}

}  // namespace

TEST_CASE("attend equals the reference on every tier, for every type of cache") {
  const KvType type = GENERATE(KvType::F16, KvType::F32, KvType::BF16, KvType::Q8_0);
  DYNAMIC_SECTION(to_string(type)) {
    for (std::uint32_t i = 0; i < n_shapes; ++i) {
      std::mt19937 random(i);
      check_case(attend_case(i, type, draw(random, 200)), nullptr);
    }
  }
}

TEST_CASE("attend over several spans equals the reference, with and without a window") {
  for (const std::uint32_t seed : two_span_seeds)
    check_case(attend_case(seed, KvType::F16, cpu::attend_span + 77), nullptr);
}

TEST_CASE("attend gives the same bits for any number of threads and tokens at a time") {
  for (const KvType type : three_span_types)
    for (const std::uint32_t seed : three_span_seeds)
      check_splits(attend_case(seed, type, 2 * cpu::attend_span + 77));
}

TEST_CASE("every tier gives the same bits for any number of threads", "[threads]") {
  std::uint32_t i = 0;
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    for (const char* name : {"F32", "F16", "Q4_0", "Q4_K", "Q6_K", "Q8_0", "experts F32", "experts Q4_K"}) {
      const std::string_view text = name;
      const bool experts = text.starts_with("experts ");
      const Format& format = *find_format(text.substr(experts ? 8 : 0));
      const Case c = (experts ? expert_case : matmul_case)(format, bank(format, bank_elements), i += 11);
      std::vector<float> first;
      for (std::uint32_t threads = 1; threads <= 8; ++threads) {
        BackendOptions options = c.options;
        options.threads = threads;
        cpu::CpuBackend backend(*tier.table, options);
        REQUIRE(backend.threads() == threads);
        backend.prepare(c.toy.plan, c.toy.weights, {});
        const std::vector<float> got = run_tokens(backend, c.toy, options, c.tokens, c.tokens);
        if (threads == 1) first = got;
        REQUIRE(same_bits(got, first));
      }
    }
  }
}

TEST_CASE("every kernel gives the same bits for any range of rows and tokens") {
  const std::size_t rows = 99, tokens = 70;
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    const cpu::Kernels kernels(*tier.table);
    for (const Format& format : formats()) {
      const std::size_t cols = format.block_size == 1 ? 421 : format.block_size == 32 ? 416 : 768;
      const std::vector<float> in = random_floats(tokens * cols, 3);
      const cpu::MatmulKernel& kernel = kernels.matmul(format, rows, cols);
      const std::vector<std::byte> bytes = bank(format, rows * cols);
      cpu::Matrix matrix{.format = &format, .rows = rows, .cols = cols, .bytes = bytes.data()};
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
      const auto run = [&](std::size_t row_step, std::size_t token_step) {
        std::vector<float> out(tokens * rows);
        for (std::size_t t = 0; t < tokens; t += token_step) {
          for (std::size_t r = 0; r < rows; r += row_step) {
            kernel.run({.matrix = matrix,
                        .row_begin = r,
                        .row_end = std::min(rows, r + row_step),
                        .activations = converted.data() + t * stride,
                        .n_tokens = std::min(token_step, tokens - t),
                        .out = out.data() + t * rows,
                        .out_stride = rows,
                        .scratch = scratch.data()});
          }
        }
        return out;
      };
      const std::vector<float> whole = run(rows, tokens);
      for (std::size_t token_step : {1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33, 64, 65, 69}) {
        CHECK(same_bits(run(kernel.row_tile, token_step), whole));
        CHECK(same_bits(run(3 * kernel.row_tile, token_step), whole));
      }
    }
  }
}

TEST_CASE("NaN and infinity pass through every float op of every tier") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const cpu::Tier& tier : cpu::tiers()) {
    if (!cpu::runs_here(tier)) continue;
    const cpu::Kernels kernels(*tier.table);
    std::vector<float> in(100, 1.0f), one(100, 1.0f), out(100);
    in[37] = nan;
    in[38] = inf;
    kernels.floats.add(in.data(), one.data(), out.data(), 100);
    CHECK((std::isnan(out[37]) && std::isinf(out[38]) && out[36] == 2.0f));
    kernels.floats.gate(in.data(), one.data(), out.data(), 100, Activation::silu);
    CHECK((std::isnan(out[37]) && std::isinf(out[38])));
    kernels.floats.norm(in.data(), one.data(), out.data(), 100, 1e-5f);
    CHECK(std::isnan(out[0]));
    kernels.floats.finish(in.data(), one.data(), 100, 1.0f, 30.0f);
    CHECK((std::isnan(in[37]) && in[38] == 30.0f));
  }
}
