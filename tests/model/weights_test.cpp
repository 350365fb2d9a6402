// Tensors found, checked and reordered; plans built from them.
// Tests model/weights.hpp, model/plan.hpp, model/blocks.hpp and arch/llama.hpp.
#include "nibble/model/weights.hpp"

#include <cmath>

#include "model/tiny_checkpoint.hpp"
#include "nibble/model/architecture.hpp"
#include "support/catch.hpp"

using namespace nibble;
using nibble::test::thrown;
using nibble::test::TinyCheckpoint;

namespace {

struct Built {
  TinyCheckpoint tiny;  // keeps the tensors' bytes
  Config config;
  Weights weights;
  Plan plan;
};

Built build(TinyCheckpoint tiny) {
  Built built{.tiny = std::move(tiny), .config = {}, .weights = {}, .plan = {}};
  const Checkpoint& checkpoint = built.tiny.checkpoint;
  const Architecture& a = find_architecture(checkpoint);
  built.config = a.config(ConfigReader(checkpoint, a.name, {}));
  built.weights = Weights::resolve(checkpoint, a.tensors(built.config), built.config);
  built.plan = a.plan(built.config, built.weights);
  return built;
}

float element(const Weights& weights, std::string_view name, std::size_t row, std::size_t col) {
  const Tensor& t = weights[weights.get(name)].tensor;
  float value;
  std::memcpy(&value, t.bytes.data() + (row * t.shape.cols() + col) * sizeof(float), sizeof value);
  return value;
}

}  // namespace

TEST_CASE("weights: rows of q and k from a Hugging Face file come out as GGUF orders them") {
  const Built gguf = build(TinyCheckpoint(Container::gguf));
  const Built hf = build(TinyCheckpoint(Container::safetensors));
  // Head size 4: file rows 0 1 2 3 (halves 0 1 | 2 3) become 0 2 1 3, within each head.
  const std::size_t order[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (std::size_t row = 0; row < 8; ++row) {
    CHECK(element(hf.weights, "blk.1.attn_q.weight", row, 3) ==
          element(gguf.weights, "blk.1.attn_q.weight", order[row], 3));
  }
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(element(hf.weights, "blk.0.attn_v.weight", row, 1) ==
          element(gguf.weights, "blk.0.attn_v.weight", row, 1));
  }
}

TEST_CASE("malformed 36: a required tensor is missing") {
  TinyCheckpoint tiny;
  tiny.checkpoint.tensors.erase("blk.1.ffn_up.weight");
  const Error e = thrown([&] { build(std::move(tiny)); });
  CHECK(e.code() == ErrorCode::missing);
  CHECK(e.field() == "blk.1.ffn_up.weight");
}

TEST_CASE("malformed 37: a tensor's shape contradicts the hyperparameters") {
  TinyCheckpoint tiny;
  tiny.tensor("blk.0.ffn_down.weight", {12, 8});
  const Error e = thrown([&] { build(std::move(tiny)); });
  CHECK(e.code() == ErrorCode::shape_mismatch);
  CHECK(e.field() == "blk.0.ffn_down.weight");
  CHECK(e.position() == "byte 4096");
  CHECK(e.found() == "[12, 8]");
  CHECK(e.allowed() == "[8, 12]");
}

TEST_CASE("malformed 38: fewer embedding rows than the vocabulary") {
  TinyCheckpoint tiny;
  tiny.set("llama.vocab_size", std::int64_t{7});
  CHECK(thrown([&] { build(std::move(tiny)); }).code() == ErrorCode::shape_mismatch);
}

TEST_CASE("weights: padded embedding rows and extra tensors load") {
  TinyCheckpoint tiny;
  tiny.tensor("token_embd.weight", {64, 8});
  tiny.tensor("somebody.elses.tensor", {3, 3});
  const Built built = build(std::move(tiny));
  CHECK(built.weights[built.weights.get("token_embd.weight")].tensor.shape == Shape{6, 8});
  CHECK(built.plan.logits.width == 6);
}

TEST_CASE("weights: a vector of a block format and an unknown type are refused") {
  TinyCheckpoint tiny;
  tiny.checkpoint.tensors["output_norm.weight"].dtype = Dtype{8};
  CHECK(thrown([&] { build(std::move(tiny)); }).code() == ErrorCode::unsupported);
  TinyCheckpoint other;
  other.checkpoint.tensors["blk.0.attn_q.weight"].dtype = Dtype{250};
  CHECK(thrown([&] { build(std::move(other)); }).code() == ErrorCode::unsupported);
}

TEST_CASE("plan: steps of a layer, their slots and lifetimes") {
  const Built built = build(TinyCheckpoint());
  const Plan& plan = built.plan;
  CHECK(plan.kv.size() == 2);
  CHECK(plan.steps.size() == 1 + 2 * (9 + 6) + 2);
  CHECK(plan.steps.front().op == Op::embed);
  CHECK(plan.steps.back().op == Op::matmul);
  CHECK(plan.buffers[plan.logits.buffer].rows == Rows::outputs);
  for (std::uint32_t n = 0; n < plan.steps.size(); ++n) {
    for (const Slot& slot : {plan.steps[n].out, plan.steps[n].a, plan.steps[n].b}) {
      if (slot.width == 0) continue;
      const Extent& extent = plan.buffers[slot.buffer];
      CHECK(extent.first_step <= n);
      CHECK(n <= extent.last_step);
      CHECK(slot.offset + slot.width <= extent.width);
    }
  }
  // The residual stream is written in place: one buffer from the embedding to the last norm.
  CHECK(plan.buffers[0].first_step == 0);
  CHECK(plan.buffers[0].last_step == plan.steps.size() - 2);
  CHECK(describe(plan.steps[2], built.weights) == "matmul  b2[0:8] = blk.0.attn_q.weight * b1[0:8]");
}

TEST_CASE("plan: an own output matrix is preferred to the tied embedding") {
  const Built tied = build(TinyCheckpoint());
  CHECK(tied.plan.steps.back().w == tied.weights.get("token_embd.weight"));
  TinyCheckpoint tiny;
  tiny.tensor("output.weight", {6, 8});
  const Built own = build(std::move(tiny));
  CHECK(own.plan.steps.back().w == own.weights.get("output.weight"));
}

TEST_CASE("rope: llama3 divisors equal the published test vectors") {
  // facts: Llama-3.2-1B, dim 64, base 5e5, factor 32, original context 8192.
  RopeConfig config{.dim = 64, .base = 5e5, .scaling = RopeScaling::llama3, .factor = 32};
  const RopeTable scaled = make_rope(config, RopePairs::adjacent, no_weight, {});
  config.scaling = RopeScaling::none;
  const RopeTable plain = make_rope(config, RopePairs::adjacent, no_weight, {});
  const auto divisor = [&](std::size_t j) {
    return plain.inverse_frequency[j] / scaled.inverse_frequency[j];
  };
  CHECK(divisor(14) == Approx(1.0).epsilon(1e-6));
  CHECK(divisor(15) == Approx(1.651329).epsilon(1e-6));
  CHECK(divisor(16) == Approx(3.292262).epsilon(1e-6));
  CHECK(divisor(17) == Approx(9.666729).epsilon(1e-6));
  CHECK(divisor(18) == Approx(32.0).epsilon(1e-6));
}

TEST_CASE("rope: linear scaling divides, and the file's divisors replace the configuration") {
  const RopeConfig config{.dim = 4, .scaling = RopeScaling::linear, .factor = 4};
  CHECK(make_rope(config, RopePairs::halves, no_weight, {}).inverse_frequency ==
        std::vector<float>{0.25f, 0.0025f});
  TinyCheckpoint tiny;
  tiny.tensor("rope_freqs.weight", {2});  // 1, 2
  const Built built = build(std::move(tiny));
  CHECK(built.plan.ropes[0].inverse_frequency == std::vector<float>{1.0f, 0.01f / 2});
}

TEST_CASE("rope: a zero divisor is refused at its place") {
  TinyCheckpoint tiny;
  tiny.tensor("rope_freqs.weight", {2}, -1.0f);  // -1, 0
  const Error e = thrown([&] { build(std::move(tiny)); });
  CHECK(e.code() == ErrorCode::out_of_range);
  CHECK(e.field() == "rope_freqs.weight");
}
