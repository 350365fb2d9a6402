// Phi-3, Phi-3.5, Phi-4 and Phi-4-mini: the llama layer with q, k and v in one matrix, gate and up in
// another, a window, and longrope. From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::phi3 {

inline constexpr std::string_view hf_names[] = {"Phi3ForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config c = read.common();
  read.demand_text({"", "hidden_act"}, "silu");
  c.window = read.count({"attention.sliding_window", "sliding_window"}, 0);  // 0 says none: Phi-4
  return c;
}

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.ffn_dim;
  return {
      {"token_embd.weight", "model.embed_tokens.weight", c.vocab_size, d, padded_rows},
      {"output_norm.weight", "model.norm.weight", 0, d},
      {"output.weight", "lm_head.weight", c.vocab_size, d, optional_tensor | padded_rows},
      {"rope_factors_long.weight", "", 0, c.rope.dim / 2, optional_tensor},
      {"rope_factors_short.weight", "", 0, c.rope.dim / 2, optional_tensor},
      {"blk.{L}.attn_norm.weight", "model.layers.{L}.input_layernorm.weight", 0, d},
      {"blk.{L}.attn_qkv.weight", "model.layers.{L}.self_attn.qkv_proj.weight", q + 2 * kv, d},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.ffn_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d},
      {"blk.{L}.ffn_up.weight", "model.layers.{L}.mlp.gate_up_proj.weight", 2 * f, d},
      {"blk.{L}.ffn_down.weight", "model.layers.{L}.mlp.down_proj.weight", d, f},
  };
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  // Nothing but these tensors tells a GGUF file's scaling.
  const WeightId factors =
      w.find(c.rope.is_stretched() ? "rope_factors_long.weight" : "rope_factors_short.weight");
  RopeConfig turning = c.rope;
  if (factors != no_weight) turning.scaling = RopeScaling::longrope;
  const std::uint32_t rope = p.add_rope(make_rope(turning, RopePairs::halves, factors, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope, .window = c.window}));
    x = p.add(x, p.gated_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"phi3",  hf_names, config,
                                           tensors, plan,     "Phi-3, Phi-3.5-mini, Phi-4, Phi-4-mini"};

}  // namespace nibble::inline v0::phi3

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<12> {
  static constexpr const Architecture* value = &phi3::architecture;
};
}  // namespace nibble::inline v0
