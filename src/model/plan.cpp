// Steps as text: what `nibble plan` prints, a line each.
// Last step of the model stage.
#include "nibble/model/plan.hpp"

#include <array>
#include <charconv>

namespace nibble::inline v0 {

namespace {

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::silu: return "silu";
    case Activation::gelu_tanh: return "gelu_tanh";
    case Activation::clamped_swish: return "clamped_swish";
  }
  return "";
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
    case Op::matmul: {
      const bool experts = args.n_experts != 0;
      if (experts) tail += " for experts of " + b + (args.weighted ? " by weight" : "");
      return "matmul  " + out + weight(step.w) + (experts ? " and so on" : "") + " * " + a +
             (args.bias == no_weight ? "" : " + " + weight(args.bias)) + tail;
    }
    case Op::route:
      return "route   " + out + "top " + std::to_string(args.n_used) + " of " + a + ", softmax over " +
             (args.softmax_all ? "all" : "them");
    case Op::rope:
      return "rope    " + slot_text(step.out) + " heads " + std::to_string(args.n_heads) + " dim " +
             std::to_string(args.head_dim) + " table " + std::to_string(args.rope);
    case Op::attend:
      return "attend  " + out + a + " over cache " + std::to_string(args.layer) + " + " + b + " heads " +
             std::to_string(args.n_heads) + "/" + std::to_string(args.n_kv_heads) + " dim " +
             std::to_string(args.head_dim) +
             (args.window == 0 ? "" : " window " + std::to_string(args.window)) + " scale " +
             number_text(args.scale) + (step.w == no_weight ? "" : " sinks " + weight(step.w)) + tail;
    case Op::gate:
      return "gate    " + out + std::string(activation_name(args.activation)) + "(" + a + ") * " + b;
    case Op::add: return "add     " + out + a + " + " + b;
    case Op::gather: return "gather  " + out + a + " in order " + std::to_string(args.order);
  }
  return {};
}

}  // namespace nibble::inline v0
