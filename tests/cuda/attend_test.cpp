// Attention over several spans on the CUDA backend, in shapes of which each goes another way through the
// kernels: against the reference in double, and the same bits however rows share a batch.
#include "nibble/backend/kv_cache.hpp"
#include "tests/cuda/check_case.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

struct AttendCase {
  std::uint32_t n_kv_heads, group, head_dim, window;
};

Case make_case(const AttendCase& shape, KvType type, std::uint32_t tokens) {
  Case c;
  c.tokens = tokens;
  c.options.kv_type = type;
  c.options.max_tokens = c.options.max_outputs = tokens;
  const std::uint32_t heads = shape.n_kv_heads * shape.group, q = heads * shape.head_dim;
  const std::uint32_t kv = 2 * shape.n_kv_heads * shape.head_dim;
  c.toy.plan.kv = {{.n_kv_heads = shape.n_kv_heads, .head_dim = shape.head_dim, .window = shape.window}};
  c.options.kv_pages = 4 * static_cast<std::uint32_t>(kv_pages_needed(c.toy.plan.kv, tokens, tokens));
  const Slot in = c.toy.inputs(q + kv, random_floats(std::size_t{tokens} * (q + kv), 1, 2.0f));
  c.toy.finish({.op = Op::attend,
                .out = {},
                .a = in.part(0, q),
                .b = in.part(q, kv),
                .w = no_weight,
                .args = {.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
                         .layer = 0,
                         .n_heads = heads,
                         .n_kv_heads = shape.n_kv_heads,
                         .head_dim = shape.head_dim,
                         .window = shape.window}},
               q);
  return c;
}

// Stretches of tokens, each of a sequence of its own, in one batch; token t is row t of the inputs.
std::vector<float> run_beside(Backend& backend, const Case& c, const std::vector<std::uint32_t>& lengths) {
  KvCache cache(c.toy.plan.kv, c.options.kv_pages);
  std::vector<KvSequence> kept;
  std::vector<BatchSequence> sequences;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint32_t> positions, owner, outputs;
  kept.reserve(lengths.size());
  for (const std::uint32_t length : lengths) {
    kept.push_back(cache.make_sequence());
    backend.copy_pages(cache.reserve(kept.back(), length));
    for (std::uint32_t i = 0; i < length; ++i) {
      outputs.push_back(static_cast<std::uint32_t>(tokens.size()));
      tokens.push_back(static_cast<std::int32_t>(i));
      positions.push_back(i);
      owner.push_back(static_cast<std::uint32_t>(sequences.size()));
    }
    sequences.push_back({&kept.back()});
  }
  std::vector<float> logits(tokens.size() * c.toy.plan.vocab_size);
  backend.run({.tokens = tokens,
               .positions = positions,
               .sequence = owner,
               .outputs = outputs,
               .sequences = sequences},
              logits, {});
  return logits;
}

}  // namespace

TEST_CASE("cuda: attend over several spans equals the reference, and itself however it is cut") {
  // A block takes several rows; has one head of 160 columns; a part of a group; one of two halves of a head.
  [[maybe_unused]] const AttendCase rows{1, 4, 64, 0}, wide{1, 3, 160, 200}, parts{1, 17, 16, 90},
      halves{1, 1, 320, 0};
  using Typed = std::pair<KvType, AttendCase>;
#if defined(__SANITIZE_ADDRESS__)  // ten times slower
  const auto [type, shape] = GENERATE_COPY(Typed{KvType::F16, parts}, Typed{KvType::Q8_0, rows});
#else
  const auto [type, shape] =
      GENERATE_COPY(Typed{KvType::F16, rows}, Typed{KvType::F16, wide}, Typed{KvType::F16, parts},
                    Typed{KvType::F16, halves}, Typed{KvType::BF16, wide}, Typed{KvType::Q8_0, rows},
                    Typed{KvType::Q8_0, halves}, Typed{KvType::F32, rows});
#endif
  CAPTURE(to_string(type), shape.group, shape.head_dim);
  check_case(make_case(shape, type, 270), float_tolerance, nullptr, 61);
}

TEST_CASE("cuda: the same bits of a row that attends alone and beside rows of other sequences") {
  const KvType type = GENERATE(KvType::F16, KvType::F32, KvType::BF16, KvType::Q8_0);
  CAPTURE(to_string(type));
  const Case c = make_case({2, 2, 64, 0}, type, 80);
  const auto backend = make_subject(c.options);
  backend->prepare(c.toy.plan, c.toy.weights, {});
  const std::vector<float> alone = run_tokens(*backend, c.toy, c.options, 70, 1);
  for (const std::vector<std::uint32_t>& lengths : {std::vector{1u, 5u, 70u, 3u}, std::vector{2u, 1u, 30u}}) {
    const std::vector<float> beside = run_beside(*backend, c, lengths);
    auto row = beside.begin();
    for (const std::uint32_t length : lengths) {
      const auto n = static_cast<std::ptrdiff_t>(std::size_t{length} * c.toy.plan.vocab_size);
      CHECK(same_bits({row, row + n}, {alone.begin(), alone.begin() + n}));
      row += n;
    }
  }
}

// Pages from outside, so that nothing needs to be computed to be that far into a text.
TEST_CASE("cuda: attend over more spans than are kept side by side equals the reference") {
  constexpr std::uint32_t position = 33'100;  // 130 spans; 128 of so many heads are kept
  Case c = make_case({1, 128, 16, 0}, KvType::F16, 1);
  c.options.kv_pages = static_cast<std::uint32_t>(kv_pages_needed(c.toy.plan.kv, position + 1, 1));
  BackendOptions exact = c.options;
  exact.float64 = true;
  KvCache cache(c.toy.plan.kv, c.options.kv_pages);
  KvSequence sequence = cache.make_sequence();
  cache.reserve(sequence, position + 1);
  sequence.length = position;
  const std::vector<float> values = random_floats(kv_page_bytes(c.toy.plan.kv, KvType::F16) / 2 + 997, 2);
  const auto run = [&](const std::unique_ptr<Backend>& backend) {
    backend->prepare(c.toy.plan, c.toy.weights, {});
    std::vector<std::uint16_t> page(values.size() - 997);
    for (PageId id = 0; id < c.options.kv_pages; ++id) {
      for (std::size_t i = 0; i < page.size(); ++i) page[i] = f32_to_f16(values[i + id * 31 % 997]);
      backend->write_page(id, std::as_bytes(std::span(page)));
    }
    const std::int32_t token = 0;
    const std::uint32_t first = 0, sequences = 0;
    const BatchSequence of_batch{&sequence};
    std::vector<float> logits(c.toy.plan.vocab_size);
    backend->run({.tokens = {&token, 1},
                  .positions = {&position, 1},
                  .sequence = {&sequences, 1},
                  .outputs = {&first, 1},
                  .sequences = {&of_batch, 1}},
                 logits, {});
    return logits;
  };
  CHECK(nmse(run(make_subject(c.options)), run(reference::make_backend(exact))) <= float_tolerance);
}
