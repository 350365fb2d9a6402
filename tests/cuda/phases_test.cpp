// Steps that are launched together: what the reference computes, and the same bits as of the steps one by
// one.
#include "support/catch.hpp"
#include "tests/cuda/check_case.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr std::uint32_t n_tokens = 20;

// A step that has nothing to do with those around it, which are then launched one by one.
void interrupt(ToyPlan& toy) { toy.inputs(4, random_floats(std::size_t{4} * n_tokens, 99)); }

void push(ToyPlan& toy, Op op, Slot out, Slot a, WeightId w, const Args& args, bool apart) {
  if (apart) interrupt(toy);
  toy.plan.steps.push_back({.op = op, .out = out, .a = a, .b = {}, .w = w, .args = args});
}

Case case_of_tokens() {
  Case c;
  c.tokens = n_tokens;
  return c;
}

// Four matrices of one input: the first three join, the fourth is of another format.
Case matmuls(const Format& format, bool apart) {
  Case c = case_of_tokens();
  const std::uint32_t cols = 256, rows[] = {64, 32, 17, 15};
  const Slot in = c.toy.inputs(cols, random_floats(std::size_t{n_tokens} * cols, 1));
  const Slot all{c.toy.buffer(128, Rows::outputs), 0, 128};
  std::uint32_t first = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::string name = "w" + std::to_string(i);
    const Format& kind = i < 3 ? format : *find_format("Q8_0");
    const WeightId w = c.toy.weight(name, kind, rows[i], cols, random_floats(rows[i] * cols, 2 + i));
    const WeightId bias =
        c.toy.weight(name + ".bias", *find_format(Dtype::F32), 0, rows[i], random_floats(rows[i], 7 + i));
    push(c.toy, Op::matmul, all.part(first, rows[i]), in, w, {.bias = bias}, apart);
    first += rows[i];
  }
  c.toy.plan.logits = all;
  c.toy.plan.vocab_size = all.width;
  c.toy.resolve();
  return c;
}

// (a + b) and its norm, added so that both are seen.
Case add_norm(bool apart) {
  Case c = case_of_tokens();
  const std::uint32_t width = 300;
  const Slot in = c.toy.inputs(2 * width, random_floats(std::size_t{n_tokens} * 2 * width, 1));
  const Slot x = in.part(0, width), y{c.toy.buffer(width), 0, width};
  const WeightId w = c.toy.weight("norm", *find_format(Dtype::F32), 0, width, random_floats(width, 2));
  push(c.toy, Op::add, x, x, no_weight, {}, false);
  c.toy.plan.steps.back().b = in.part(width, width);
  push(c.toy, Op::norm, y, x, w, {.eps = 1e-5f, .group = width}, apart);
  c.toy.finish({.op = Op::add, .out = {}, .a = x, .b = y, .w = no_weight, .args = {}}, width);
  return c;
}

// Heads of queries and keys, normalised or rotated or both, before they attend.
Case heads(KvType type, bool norm, bool rope, bool apart) {
  Case c = case_of_tokens();
  const std::uint32_t n_kv = 2, n_q = 2 * n_kv, head_dim = 96, q = n_q * head_dim, kv = n_kv * head_dim;
  c.options.kv_type = type;
  c.toy.plan.kv = {{.n_kv_heads = n_kv, .head_dim = head_dim, .window = 0}};
  c.options.kv_pages = static_cast<std::uint32_t>(kv_pages_needed(c.toy.plan.kv, n_tokens, n_tokens));
  RopeTable table{.pairs = RopePairs::halves, .inverse_frequency = {}, .magnitude = 1.1f};
  for (std::uint32_t j = 0; j < head_dim / 2; ++j)
    table.inverse_frequency.push_back(std::pow(0.9f, static_cast<float>(j)));
  c.toy.plan.ropes.push_back(table);
  const Slot in = c.toy.inputs(q + 2 * kv, random_floats(std::size_t{n_tokens} * (q + 2 * kv), 1, 2.0f));
  std::uint32_t number = 0;
  for (const Slot& slot : {in.part(0, q), in.part(q, kv)}) {
    const std::string name = "norm" + std::to_string(number++);
    const WeightId w =
        c.toy.weight(name, *find_format(Dtype::F32), 0, head_dim, random_floats(head_dim, number));
    if (norm) push(c.toy, Op::norm, slot, slot, w, {.eps = 1e-5f, .group = head_dim}, apart);
    const std::uint32_t n_heads = slot.width / head_dim;
    if (rope) push(c.toy, Op::rope, slot, slot, no_weight, {.n_heads = n_heads, .head_dim = head_dim}, apart);
  }
  if (apart) interrupt(c.toy);
  const Args args{.scale = 0.1f, .n_heads = n_q, .n_kv_heads = n_kv, .head_dim = head_dim};
  c.toy.finish({.op = Op::attend,
                .out = {},
                .a = in.part(0, q),
                .b = in.part(q, 2 * kv),
                .w = no_weight,
                .args = args},
               q);
  return c;
}

std::vector<float> result(const Case& c) {
  const auto backend = make_subject(c.options);
  backend->prepare(c.toy.plan, c.toy.weights, {});
  return run_tokens(*backend, c.toy, c.options, c.tokens, c.tokens);
}

}  // namespace

TEST_CASE("cuda: the same bits of steps together and one by one") {
  for (const char* name : {"Q4_0", "Q6_K", "BF16"}) {
    const Format& format = *find_format(name);
    DYNAMIC_SECTION(format.name) {
      CHECK(same_bits(result(matmuls(format, false)), result(matmuls(format, true))));
    }
  }
  SECTION("add, norm") { CHECK(same_bits(result(add_norm(false)), result(add_norm(true)))); }
  for (const KvType type : {KvType::F32, KvType::F16, KvType::BF16, KvType::Q8_0}) {
    DYNAMIC_SECTION("heads, " << to_string(type)) {
      const bool norm = GENERATE(true, false), rope = !norm || GENERATE(true, false);
      CHECK(same_bits(result(heads(type, norm, rope, false)), result(heads(type, norm, rope, true))));
    }
  }
}

TEST_CASE("cuda: what steps launched together compute equals the reference") {
  check_case(matmuls(*find_format("Q4_0"), false), int8_tolerance);
  check_case(add_norm(false), float_tolerance);
  check_case(heads(KvType::F32, true, true, false), float_tolerance);
}
