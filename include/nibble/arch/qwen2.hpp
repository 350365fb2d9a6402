// Qwen 2 and 2.5, and the DeepSeek-R1 distills of them: the llama layer with biases on q, k and v.
// From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::qwen2 {

inline constexpr std::string_view hf_names[] = {"Qwen2ForCausalLM"};

// Qwen 3 has the same hyperparameters. GGUF files have no window.
inline Config config(const ConfigReader& read) {
  Config c = read.common();
  read.demand_text({"", "hidden_act"}, "silu");
  if (read.flag({"", "use_sliding_window"}, false)) {
    c.window = read.positive({"", "sliding_window"});
    std::vector<bool> first(c.n_layers);
    std::fill_n(first.begin(), std::min(c.n_layers, read.count({"", "max_window_layers"}, 28)), true);
    c.global = read.global_layers(c.n_layers, std::move(first));
  }
  return c;
}

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.ffn_dim;
  return {
      {"token_embd.weight", "model.embed_tokens.weight", c.vocab_size, d, padded_rows},
      {"output_norm.weight", "model.norm.weight", 0, d},
      {"output.weight", "lm_head.weight", c.vocab_size, d, optional_tensor | padded_rows},
      {"blk.{L}.attn_norm.weight", "model.layers.{L}.input_layernorm.weight", 0, d},
      {"blk.{L}.attn_q.weight", "model.layers.{L}.self_attn.q_proj.weight", q, d},
      {"blk.{L}.attn_q.bias", "model.layers.{L}.self_attn.q_proj.bias", 0, q},
      {"blk.{L}.attn_k.weight", "model.layers.{L}.self_attn.k_proj.weight", kv, d},
      {"blk.{L}.attn_k.bias", "model.layers.{L}.self_attn.k_proj.bias", 0, kv},
      {"blk.{L}.attn_v.weight", "model.layers.{L}.self_attn.v_proj.weight", kv, d},
      {"blk.{L}.attn_v.bias", "model.layers.{L}.self_attn.v_proj.bias", 0, kv},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.ffn_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d},
      {"blk.{L}.ffn_gate.weight", "model.layers.{L}.mlp.gate_proj.weight", f, d},
      {"blk.{L}.ffn_up.weight", "model.layers.{L}.mlp.up_proj.weight", f, d},
      {"blk.{L}.ffn_down.weight", "model.layers.{L}.mlp.down_proj.weight", d, f},
  };
}

// Qwen 3's plan is the same: attention normalises heads where the layer has weights for it.
inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::halves, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope, .window = c.window_of(i)}));
    x = p.add(x, p.gated_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"qwen2", hf_names, config,
                                           tensors, plan,     "Qwen 2 and 2.5, DeepSeek-R1 distills of Qwen"};

}  // namespace nibble::inline v0::qwen2

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<10> {
  static constexpr const Architecture* value = &qwen2::architecture;
};
}  // namespace nibble::inline v0
