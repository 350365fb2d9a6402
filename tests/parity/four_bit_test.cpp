// GPTQ and AWQ folders against their dequantised twins: every weight exactly, logits as transformers has
// them. Fixtures are made, and their layouts explained, by tests/parity/make_four_bit.py.
#include <algorithm>
#include <string>

#include "nibble/nibble.hpp"
#include "nibble/quant/formats.hpp"
#include "nibble/quant/half.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

struct Case {
  std::string name;
  std::uint64_t group;  // inputs
  int offset;           // of stored zeros
  std::string format;   // that matrices become
};

const Case cases[] = {
    {"gptq-symmetric", 32, 1, "Q4_0"},       {"gptq-act-order", 64, 1, "Z4_32"},
    {"gptq-v2-act-order", 128, 0, "Z4_128"}, {"awq-64", 64, 0, "Z4_32"},
    {"awq-whole-rows", 0, 0, "Z4_128"},
};

std::filesystem::path folder_of(const Case& c) {
  return NIBBLE_SOURCE_DIR "/tests/parity/four_bit/" + c.name;
}

template <class T>
T at(const Tensor& tensor, std::uint64_t i) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
  return value;
}

// Weight of one output and input, from the two formats' definitions.
float definition(const Case& c, const Checkpoint& files, const std::string& stem, std::uint64_t out,
                 std::uint64_t in) {
  static constexpr unsigned awq_order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  const Tensor &qweight = *files.find(stem + ".qweight"), &qzeros = *files.find(stem + ".qzeros"),
               &scales = *files.find(stem + ".scales");
  const bool awq = c.name.starts_with("awq");
  const std::uint64_t outs = scales.shape[1];
  const Tensor* g_idx = files.find(stem + ".g_idx");
  const std::uint64_t group = g_idx != nullptr ? std::uint64_t(at<std::int32_t>(*g_idx, in))
                              : c.group == 0   ? 0
                                               : in / c.group;
  const auto nibble_of_8 = [&](const Tensor& words, std::uint64_t row) {
    const auto word = at<std::uint32_t>(words, row * (outs / 8) + out / 8);
    for (unsigned n = 0; n < 8; ++n) {
      if ((awq ? awq_order[n] : n) == out % 8) return int(word >> 4 * n & 15);
    }
    return -1;
  };
  const int code = awq ? nibble_of_8(qweight, in)
                       : int(at<std::uint32_t>(qweight, in / 8 * outs + out) >> 4 * (in % 8) & 15);
  const int zero = nibble_of_8(qzeros, group) + c.offset;
  return f16_to_f32(at<std::uint16_t>(scales, group * outs + out)) * float(code - zero);
}

std::vector<float> logits_of(const Model& model, const char* backend, const std::vector<TokenId>& tokens) {
  Engine engine(model, {.backend = backend, .threads = 2, .context = 256, .kv = KvType::F32});
  Sequence sequence = engine.make_sequence();
  const StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = Outputs::all};
  return engine.step({&input, 1});
}

}  // namespace

TEST_CASE("parity: every GPTQ and AWQ weight is exactly scale * (code - zero), in the 4-bit family") {
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Model model = Model::open(folder_of(c));
    const Weights& weights = model.weights();
    const std::pair<const char*, const char*> names[] = {{"blk.0.attn_v.weight", "self_attn.v_proj"},
                                                         {"blk.0.ffn_gate.weight", "mlp.gate_proj"},
                                                         {"blk.0.ffn_up.weight", "mlp.up_proj"},
                                                         {"blk.0.ffn_down.weight", "mlp.down_proj"}};
    for (const auto& [name, hf_name] : names) {
      CAPTURE(name);
      const Weight& weight = weights[weights.get(name)];
      const Format& format = *find_format(weight.tensor.dtype);
      CHECK(format.name == c.format);
      CHECK(format.family == Family::codes4);
      CHECK(weight.order.empty() == (c.name.find("act-order") == std::string::npos ||
                                     (c.group == 128 && weight.tensor.shape.cols() == 128)));
      const std::uint64_t cols = weight.tensor.shape.cols();
      std::vector<float> row(cols);
      std::size_t wrong = 0;
      for (std::uint64_t out = 0; out < weight.tensor.shape.rows(); ++out) {
        format.decode(weight.tensor.bytes.data() + out * row_bytes(format, cols), row.data(), cols);
        for (std::uint64_t k = 0; k < cols; ++k) {
          const std::uint64_t in = weight.order.empty() ? k : weight.order[k];
          wrong +=
              row[k] != definition(c, model.checkpoint(), std::string("model.layers.0.") + hf_name, out, in);
        }
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("parity: logits and greedy tokens of GPTQ and AWQ folders are those of their dequantised twins") {
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const nlohmann::json expected = read_json(folder_of(c) / "expected.json");
    const auto prompt = expected["prompt_ids"].get<std::vector<TokenId>>();
    const std::vector<float> twin = read_floats(folder_of(c) / "logits.f32");
    const Model model = Model::open(folder_of(c));
    CHECK(largest_difference(logits_of(model, "reference", prompt), twin) <= 1e-4);

    // Eight-bit activations: as far off as any other 4-bit model.
    const std::vector<float> cpu = logits_of(model, "cpu", prompt);
    double error = 0, power = 0;
    for (std::size_t i = 0; i < twin.size(); ++i) {
      error += (cpu[i] - twin[i]) * (cpu[i] - twin[i]);
      power += twin[i] * twin[i];
    }
    CHECK(error <= 1e-3 * power);

    Engine engine(model, {.backend = "reference", .context = 256, .kv = KvType::F32});
    Session session(engine);
    session.append(prompt);
    std::vector<TokenId> ids;
    const GenerateOptions greedy{.max_tokens = 64, .temperature = 0, .ignore_end = true};
    for (const GeneratedToken& t : session.generate("", greedy).tokens) ids.push_back(t.token);
    CHECK(ids == expected["greedy_ids"].get<std::vector<TokenId>>());
  }
}
