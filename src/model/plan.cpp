// Rotary tables from their configuration, and steps as text.
// Last step of the model stage.
#include "nibble/model/plan.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

namespace nibble::inline v0 {

namespace {

// How much slower each frequency turns in a stretched context: 1 for the fast ones, `factor` for the slow
// ones, and a smooth change between.
std::vector<float> llama3_divisors(const RopeConfig& config, const std::vector<float>& inverse) {
  std::vector<float> divisors;
  for (float frequency : inverse) {
    const double turns = config.original_context / (2 * std::numbers::pi / frequency);
    double divisor = 1;
    if (turns < config.low_frequency_factor) {
      divisor = config.factor;
    } else if (turns <= config.high_frequency_factor) {
      const double smooth = (turns - config.low_frequency_factor) /
                            (config.high_frequency_factor - config.low_frequency_factor);
      divisor = 1 / ((1 - smooth) / config.factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

std::string slot_text(const Slot& slot) {
  return "b" + std::to_string(slot.buffer) + "[" + std::to_string(slot.offset) + ":" +
         std::to_string(slot.offset + slot.width) + "]";
}

std::string number_text(float value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

}  // namespace

RopeTable make_rope(const RopeConfig& config, RopePairs pairs, WeightId divisors, const Weights& weights) {
  // Rounded to float where transformers and the GGUF converters round, so that all agree on the last bit.
  std::vector<float> inverse;
  for (std::uint32_t j = 0; j < config.dim / 2; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(config.dim);
    inverse.push_back(1.0f / static_cast<float>(std::pow(config.base, exponent)));
  }

  std::vector<float> divide;
  if (divisors != no_weight) {
    divide = weights.vector(divisors);
  } else if (config.scaling == RopeScaling::llama3) {
    divide = llama3_divisors(config, inverse);
  } else {
    divide.assign(inverse.size(),
                  config.scaling == RopeScaling::linear ? static_cast<float>(config.factor) : 1.0f);
  }

  RopeTable table{.pairs = pairs, .inverse_frequency = {}, .magnitude = 1.0f};
  for (std::size_t j = 0; j < inverse.size(); ++j) {
    if (!std::isfinite(divide[j]) || divide[j] <= 0) {
      const Tensor& tensor = weights[divisors].tensor;
      throw Error({.code = ErrorCode::out_of_range,
                   .source = tensor.source,
                   .position = at_byte(tensor.offset),
                   .field = tensor.name,
                   .found = number_text(divide[j]) + " at " + std::to_string(j),
                   .allowed = "finite numbers above 0"});
    }
    table.inverse_frequency.push_back(inverse[j] / divide[j]);
  }
  return table;
}

std::string describe(const Step& step, const Weights& weights) {
  const auto weight = [&](WeightId id) { return weights[id].tensor.name; };
  const Args& args = step.args;
  const std::string out = slot_text(step.out) + " = ", a = slot_text(step.a), b = slot_text(step.b);
  std::string tail;
  if (args.scale != 1 && step.op != Op::attend) tail += " * " + number_text(args.scale);
  if (args.softcap != 0) tail += " softcap " + number_text(args.softcap);
  switch (step.op) {
    case Op::embed: return "embed   " + out + weight(step.w) + "[token]" + tail;
    case Op::norm:
      return "norm    " + out + "rms(" + a + ") * " + weight(step.w) + " group " +
             std::to_string(args.group) + " eps " + number_text(args.eps);
    case Op::matmul:
      return "matmul  " + out + weight(step.w) + " * " + a +
             (args.bias == no_weight ? "" : " + " + weight(args.bias)) + tail;
    case Op::rope:
      return "rope    " + slot_text(step.out) + " heads " + std::to_string(args.n_heads) + " dim " +
             std::to_string(args.head_dim) + " table " + std::to_string(args.rope);
    case Op::attend:
      return "attend  " + out + a + " over cache " + std::to_string(args.layer) + " + " + b + " heads " +
             std::to_string(args.n_heads) + "/" + std::to_string(args.n_kv_heads) + " dim " +
             std::to_string(args.head_dim) +
             (args.window == 0 ? "" : " window " + std::to_string(args.window)) + " scale " +
             number_text(args.scale) + tail;
    case Op::gate:
      return "gate    " + out + (args.activation == Activation::silu ? "silu(" : "gelu_tanh(") + a + ") * " +
             b;
    case Op::add: return "add     " + out + a + " + " + b;
    case Op::gather: return "gather  " + out + a + " in order " + std::to_string(args.order);
  }
  return {};
}

}  // namespace nibble::inline v0
