// Tensors found, checked and reordered; plans built from them.
// Tests model/weights.hpp, model/plan.hpp, model/blocks.hpp and arch/llama.hpp.
#include "nibble/model/weights.hpp"

#include <cmath>

#include "model/tiny_checkpoint.hpp"
#include "nibble/model/architecture.hpp"
#include "nibble/quant/formats.hpp"
#include "src/model/mxfp4_experts.hpp"
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

namespace {

// Two of three experts for each token; their matrices in one tensor, or in one for each.
TinyCheckpoint mixture(Container container, bool stacked) {
  TinyCheckpoint tiny(container);
  const bool gguf = container == Container::gguf;
  if (!gguf) tiny.set("architectures", std::vector<std::string>{"MixtralForCausalLM"});
  tiny.set(gguf ? "llama.expert_count" : "num_local_experts", std::int64_t{3});
  tiny.set(gguf ? "llama.expert_used_count" : "num_experts_per_tok", std::int64_t{2});
  for (const std::string layer : {"0", "1"}) {
    const std::string blk = gguf ? "blk." + layer + ".ffn_" : "model.layers." + layer + ".block_sparse_moe.";
    tiny.tensor(blk + (gguf ? "gate_inp.weight" : "gate.weight"), {3, 8});
    const char* names[3][2] = {{"gate", "w1"}, {"up", "w3"}, {"down", "w2"}};
    for (std::size_t i = 0; i < 3; ++i) {
      const std::uint64_t rows = i == 2 ? 8 : 12, cols = i == 2 ? 12 : 8;
      if (stacked) tiny.tensor(blk + names[i][0] + "_exps.weight", {3, rows, cols});
      for (std::size_t e = 0; e < 3 && !stacked; ++e) {
        const std::string number = std::to_string(e);
        tiny.tensor(gguf ? blk + names[i][0] + "." + number + ".weight"
                         : blk + "experts." + number + "." + names[i][1] + ".weight",
                    {rows, cols}, 1 + 96 * float(e));
      }
    }
  }
  return tiny;
}

}  // namespace

TEST_CASE("weights: experts are the same from one tensor, from one for each, and from Hugging Face files") {
  const Built built[] = {build(mixture(Container::gguf, true)), build(mixture(Container::gguf, false)),
                         build(mixture(Container::safetensors, false))};
  for (const Built& b : built) {
    CHECK(b.config.n_experts == 3);
    CHECK(b.config.n_experts_used == 2);
    CHECK(b.config.expert_ffn_dim == 12);
    for (const char* name : {"blk.1.ffn_gate_exps.weight", "blk.1.ffn_up_exps.weight"}) {
      const WeightId first = b.weights.get(name);
      for (std::uint32_t e = 0; e < 3; ++e) {
        const Tensor& tensor = b.weights[first + e].tensor;
        CHECK(tensor.shape == Shape{12, 8});
        float value;
        std::memcpy(&value, tensor.bytes.data() + 5 * sizeof value, sizeof value);
        CHECK(value == 1 + 96 * float(e) + 5);
      }
    }
    CHECK(b.weights[b.weights.get("blk.0.ffn_down_exps.weight") + 2].tensor.name ==
          "blk.0.ffn_down.2.weight");
    CHECK(b.plan.steps.size() == built[0].plan.steps.size());
  }
}

TEST_CASE("weights: experts that are missing, of another number, shape or type are refused by name") {
  const auto refused = [](bool stacked, const auto& change) {
    TinyCheckpoint tiny = mixture(Container::gguf, stacked);
    change(tiny);
    return thrown([&] { build(std::move(tiny)); });
  };
  const Error gone = refused(true, [](auto& t) { t.checkpoint.tensors.erase("blk.1.ffn_up_exps.weight"); });
  CHECK(gone.code() == ErrorCode::missing);
  CHECK(gone.field() == "blk.1.ffn_up_exps.weight");
  const Error third = refused(false, [](auto& t) { t.checkpoint.tensors.erase("blk.1.ffn_up.2.weight"); });
  CHECK(third.code() == ErrorCode::missing);
  CHECK(third.field() == "blk.1.ffn_up.2.weight");
  const Error fewer = refused(true, [](auto& t) { t.tensor("blk.0.ffn_gate_exps.weight", {2, 12, 8}); });
  CHECK(fewer.code() == ErrorCode::shape_mismatch);
  CHECK(fewer.allowed() == "[3, 12, 8]");
  const Error narrow = refused(true, [](auto& t) { t.tensor("blk.0.ffn_gate_exps.weight", {3, 12, 7}); });
  CHECK(narrow.code() == ErrorCode::shape_mismatch);
  const Error flat = refused(true, [](auto& t) { t.tensor("blk.0.ffn_gate_exps.weight", {3}); });
  CHECK(flat.code() == ErrorCode::shape_mismatch);
  const Error mixed = refused(false, [](auto& t) {
    Tensor& tensor = t.checkpoint.tensors["blk.0.ffn_down.1.weight"];
    tensor.dtype = Dtype::F16;
    tensor.bytes = tensor.bytes.first(tensor.bytes.size() / 2);
  });
  CHECK(mixed.code() == ErrorCode::unsupported);
  CHECK(mixed.field() == "blk.0.ffn_down.1.weight");
}

namespace {

Tensor bytes_tensor(const std::vector<std::uint8_t>& bytes, Shape shape) {
  return {.name = "experts", .shape = shape, .bytes = std::as_bytes(std::span(bytes)), .source = "tiny"};
}

}  // namespace

TEST_CASE(
    "weights: MXFP4 experts of a Hugging Face file, codes by neighbours and rows by turns, come out whole") {
  // Two experts of four rows of one block: code i of row r of expert e is (e + r + i) % 16, its scale 120 +
  // r.
  std::vector<std::uint8_t> codes, scales;
  for (unsigned e = 0; e < 2; ++e) {
    for (unsigned r = 0; r < 4; ++r) {
      scales.push_back(static_cast<std::uint8_t>(120 + r));
      for (unsigned i = 0; i < 32; i += 2)
        codes.push_back(static_cast<std::uint8_t>((e + r + i) % 16 | (e + r + i + 1) % 16 << 4));
    }
  }
  const Weight odd =
      mxfp4_expert(bytes_tensor(codes, {2, 4, 1, 16}), bytes_tensor(scales, {2, 4, 1}), 1, {1, 2});
  REQUIRE(odd.tensor.shape == Shape{2, 32});
  const Format& format = *find_format(odd.tensor.dtype);
  REQUIRE(format.name == "MXFP4");
  std::vector<float> values(64);
  format.decode(odd.tensor.bytes.data(), values.data(), values.size());
  const float levels[] = {0, .5, 1, 1.5, 2, 3, 4, 6, -0.0f, -.5, -1, -1.5, -2, -3, -4, -6};
  for (unsigned i = 0; i < 64; ++i) {
    const unsigned row = 2 * (i / 32) + 1;
    CHECK(values[i] == levels[(1 + row + i % 32) % 16] * std::ldexp(1.0f, int(120 + row) - 127));
  }
}

TEST_CASE("malformed 37: MXFP4 experts whose blocks and scales do not fit together") {
  const std::vector<std::uint8_t> codes(2 * 4 * 16), scales(2 * 4);
  const auto refused = [&](Shape of_codes, Shape of_scales, std::uint32_t expert) {
    return thrown([&] {
             mxfp4_expert(bytes_tensor(codes, of_codes), bytes_tensor(scales, of_scales), expert, {});
           }).code() == ErrorCode::shape_mismatch;
  };
  CHECK(refused({2, 4, 16}, {2, 4, 1}, 0));
  CHECK(refused({2, 4, 2, 8}, {2, 4, 2}, 0));
  CHECK(refused({2, 4, 1, 16}, {2, 4}, 0));
  CHECK(refused({2, 4, 1, 16}, {4, 2, 1}, 0));
  CHECK(refused({2, 4, 1, 16}, {2, 4, 1}, 2));
  CHECK(refused({2, 8, 1, 16}, {2, 8, 1}, 0));  // fewer bytes than that
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
