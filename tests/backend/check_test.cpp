// Plans and batches that contradict themselves are refused, each at its step or field.
#include "nibble/backend/check.hpp"

#include <functional>

#include "nibble/core/error.hpp"
#include "support/catch.hpp"
#include "tests/kernels/toy_plan.hpp"

using namespace nibble;

namespace {

// embed, norm, matmul, rope, attend, gate, gather, add: each once, valid.
ToyPlan every_op() {
  ToyPlan toy;
  const Format& f32 = *find_format(Dtype::F32);
  const Slot in = toy.inputs(8, random_floats(80, 1));
  const WeightId norm = toy.weight("norm", f32, 0, 8, random_floats(8, 2));
  const WeightId matrix = toy.weight("matrix", f32, 24, 8, random_floats(192, 3));
  const WeightId bias = toy.weight("bias", f32, 0, 24, random_floats(24, 4));
  const Slot normed{toy.buffer(8), 0, 8}, qkv{toy.buffer(24), 0, 24}, mixed{toy.buffer(8), 0, 8},
      turned{toy.buffer(8), 0, 8};
  const auto push = [&](Op op, Slot out, Slot a, Slot b, WeightId w, Args args) {
    toy.plan.steps.push_back({.op = op, .out = out, .a = a, .b = b, .w = w, .args = args});
  };
  push(Op::norm, normed, in, {}, norm, {.eps = 1e-5f, .group = 8});
  push(Op::matmul, qkv, normed, {}, matrix, {.bias = bias});
  toy.plan.ropes.push_back({.pairs = RopePairs::adjacent, .inverse_frequency = {1.0f, 0.1f}});
  push(Op::rope, qkv.part(0, 8), qkv.part(0, 8), {}, no_weight, {.n_heads = 2, .head_dim = 4});
  toy.plan.kv = {{.n_kv_heads = 2, .head_dim = 4, .window = 0}};
  push(Op::attend, mixed, qkv.part(0, 8), qkv.part(8, 16), no_weight,
       {.n_heads = 2, .n_kv_heads = 2, .head_dim = 4});
  push(Op::gate, mixed, mixed, normed, no_weight, {});
  toy.plan.orders = {{7, 6, 5, 4, 3, 2, 1, 0}};
  push(Op::gather, turned, mixed, {}, no_weight, {.order = 0});
  toy.finish({.op = Op::add, .out = {}, .a = turned, .b = in, .w = no_weight, .args = {}}, 8);
  return toy;
}

ErrorCode plan_error(const Plan& plan, const Weights& weights) {
  try {
    check_plan(plan, weights);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::io;  // none
}

}  // namespace

TEST_CASE("every way to break a plan is refused") {
  const ToyPlan toy = every_op();
  CHECK(plan_error(toy.plan, toy.weights) == ErrorCode::io);
  enum { embed, norm, matmul, rope, attend, gate, gather, add };
  const std::function<void(Plan&)> breaks[] = {
      [](Plan& p) { p.steps[embed].out.width = 7; },
      [](Plan& p) { p.steps[embed].out.buffer = 99; },
      [](Plan& p) { p.steps[embed].w = no_weight; },
      [](Plan& p) { p.steps[norm].args.group = 0; },
      [](Plan& p) { p.steps[norm].args.group = 3; },
      [](Plan& p) { p.steps[norm].a.offset = ~0u; },
      [](Plan& p) { p.steps[norm].w = 0; },
      [](Plan& p) { p.steps[matmul].out.width = 23; },
      [](Plan& p) { p.steps[matmul].w = 1; },
      [](Plan& p) { p.steps[matmul].args.bias = 1; },
      [](Plan& p) { p.steps[matmul].a = p.steps[matmul].out.part(0, 8); },
      [](Plan& p) { p.steps[rope].args.rope = 1; },
      [](Plan& p) { p.steps[rope].args.n_heads = 3; },
      [](Plan& p) { p.steps[rope].out.offset = 8; },
      [](Plan& p) { p.ropes[0].inverse_frequency.resize(3); },
      [](Plan& p) { p.steps[attend].args.layer = 1; },
      [](Plan& p) { p.steps[attend].args.n_heads = 3; },
      [](Plan& p) { p.steps[attend].args.n_kv_heads = 0; },
      [](Plan& p) { p.steps[attend].b.width = 8; },
      [](Plan& p) { p.steps[attend].args.window = 5; },
      [](Plan& p) { p.kv[0].head_dim = 8; },
      [](Plan& p) { p.steps[attend].w = 3; },  // 24 sinks for 2 heads
      [](Plan& p) { p.steps[gate].b.width = 4; },
      [](Plan& p) { p.steps[gather].args.order = 1; },
      [](Plan& p) { p.steps[gather].out = p.steps[gather].a; },
      [](Plan& p) { p.orders[0].pop_back(); },
      [](Plan& p) { p.orders[0][3] = 8; },
      [](Plan& p) { p.steps[add].out.width = 4; },
      [](Plan& p) { p.buffers[p.steps[add].b.buffer].last_step = add - 1; },
      [](Plan& p) { p.buffers[p.steps[gate].b.buffer].rows = Rows::outputs; },
      [](Plan& p) { p.vocab_size = 9; },
      [](Plan& p) { p.logits.offset = 1; },
  };
  for (const auto& change : breaks) {
    Plan plan = toy.plan;
    change(plan);
    CHECK(plan_error(plan, toy.weights) == ErrorCode::internal);
  }
  Plan plan = toy.plan;
  plan.steps[gate].op = Op{200};
  CHECK(plan_error(plan, toy.weights) == ErrorCode::unsupported);
}

TEST_CASE("every way to break a mixture of experts is refused") {
  ToyPlan toy;
  const Format& f32 = *find_format(Dtype::F32);
  const Slot in = toy.inputs(8, random_floats(80, 1)), scores = toy.inputs(3, random_floats(30, 2));
  const Slot routed = toy.route(scores, 3, 2, false);
  for (const char* name : {"e0", "e1", "e2"}) toy.weight(name, f32, 4, 8, random_floats(32, 3));
  for (const char* name : {"b0", "b1", "b2"}) toy.weight(name, f32, 0, 4, random_floats(4, 4));
  const Args args{.bias = 5, .n_experts = 3, .n_used = 2, .weighted = true};
  const Slot both{toy.buffer(8), 0, 8};
  toy.plan.steps.push_back({.op = Op::matmul, .out = both, .a = in, .b = routed, .w = 2, .args = args});
  toy.finish({.op = Op::add, .out = {}, .a = in.part(0, 4), .b = both, .w = no_weight, .args = {}}, 4);
  CHECK(plan_error(toy.plan, toy.weights) == ErrorCode::io);

  enum { embed, embed_scores, route, matmul, add };
  const std::function<void(Plan&)> breaks[] = {
      [](Plan& p) { p.steps[route].args.n_used = 0; },
      [](Plan& p) { p.steps[route].args.n_used = 4; },
      [](Plan& p) { p.steps[route].args.n_experts = 4; },
      [](Plan& p) { p.steps[route].out = p.steps[route].out.part(0, 3); },
      [](Plan& p) { p.steps[route].a = p.steps[route].a.part(0, 2); },
      [](Plan& p) { p.steps[matmul].b = p.steps[embed].out.part(0, 4); },  // not a route's
      [](Plan& p) {                                                        // overwritten since
        p.steps.insert(p.steps.begin() + matmul, p.steps[add]);
        p.steps[matmul].a = p.steps[matmul].b = p.steps[matmul].out = p.steps[route].out;
      },
      [](Plan& p) { p.steps[matmul].args.n_used = 1; },
      [](Plan& p) { p.steps[matmul].args.n_experts = 2; },
      [](Plan& p) { p.steps[matmul].args.scale = 2; },
      [](Plan& p) { p.steps[matmul].args.softcap = 2; },
      [](Plan& p) { p.steps[matmul].a = p.steps[matmul].a.part(0, 7); },
      [](Plan& p) { p.steps[matmul].w = 3; },  // the last of three is a bias
      [](Plan& p) { p.steps[matmul].w = 6; },  // beyond the last weight
      [](Plan& p) { p.steps[matmul].args.bias = 6; },
      [](Plan& p) { p.steps[matmul].args.bias = 4; },
      [](Plan& p) { p.steps[add].b = p.steps[add].b.part(0, 6); },
      [](Plan& p) { p.steps[add].a = p.steps[add].out = p.steps[add].b.part(0, 4); },
  };
  for (const auto& change : breaks) {
    CAPTURE(&change - breaks);
    Plan plan = toy.plan;
    change(plan);
    CHECK(plan_error(plan, toy.weights) == ErrorCode::internal);
  }
}

TEST_CASE("every way to break a batch is refused") {
  const ToyPlan toy = every_op();
  KvCache cache(toy.plan.kv, 4);
  KvSequence sequence = cache.make_sequence();
  cache.reserve(sequence, 3);
  const BatchSequence sequences[] = {{&sequence}};
  struct Parts {
    std::vector<std::int32_t> tokens{1, 2, 3};
    std::vector<std::uint32_t> positions{0, 1, 2}, sequence{0, 0, 0}, outputs{0, 2};
    std::size_t logits = 16;
    BackendOptions options{.max_tokens = 3, .max_outputs = 2, .kv_pages = 4};
  };
  const auto fails = [&](const Parts& p) {
    try {
      check_batch({.tokens = p.tokens,
                   .positions = p.positions,
                   .sequence = p.sequence,
                   .outputs = p.outputs,
                   .sequences = sequences},
                  toy.plan, toy.weights, p.options, p.logits);
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  CHECK_FALSE(fails({}));
  const std::function<void(Parts&)> breaks[] = {
      [](Parts& p) { p.options.max_tokens = 2; }, [](Parts& p) { p.options.max_outputs = 1; },
      [](Parts& p) { p.options.kv_pages = 0; },   [](Parts& p) { p.tokens[1] = 10; },
      [](Parts& p) { p.tokens[1] = -1; },         [](Parts& p) { p.positions[0] = 1; },
      [](Parts& p) { p.positions[2] = 3; },       [](Parts& p) { p.positions.pop_back(); },
      [](Parts& p) { p.sequence[2] = 1; },        [](Parts& p) { p.outputs = {2, 0}; },
      [](Parts& p) { p.outputs = {0, 3}; },       [](Parts& p) { p.logits = 15; },
  };
  for (const auto& change : breaks) {
    Parts parts;
    change(parts);
    CHECK(fails(parts));
  }
  // A position without a page.
  cache.rewind(sequence, 0);
  CHECK(fails({}));
}
