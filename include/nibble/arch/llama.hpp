// The llama family: Llama 2 and 3.x, Mistral (with its window), TinyLlama, SmolLM2, DeepSeek-R1 distills of
// Llama. From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::llama {

inline constexpr std::string_view hf_names[] = {"LlamaForCausalLM", "MistralForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config c = read.common();
  c.window = read.count({"attention.sliding_window", "sliding_window"}, 0);
  read.demand_text({"", "hidden_act"}, "silu");
  return c;
}

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.ffn_dim;
  return {
      {"token_embd.weight", "model.embed_tokens.weight", c.vocab_size, d, padded_rows},
      {"output_norm.weight", "model.norm.weight", 0, d},
      {"output.weight", "lm_head.weight", c.vocab_size, d, optional_tensor | padded_rows},
      {"rope_freqs.weight", "", 0, c.rope.dim / 2, optional_tensor},
      {"blk.{L}.attn_norm.weight", "model.layers.{L}.input_layernorm.weight", 0, d},
      {"blk.{L}.attn_q.weight", "model.layers.{L}.self_attn.q_proj.weight", q, d, rope_rows},
      {"blk.{L}.attn_q.bias", "model.layers.{L}.self_attn.q_proj.bias", 0, q, optional_tensor | rope_rows},
      {"blk.{L}.attn_k.weight", "model.layers.{L}.self_attn.k_proj.weight", kv, d, rope_rows},
      {"blk.{L}.attn_k.bias", "model.layers.{L}.self_attn.k_proj.bias", 0, kv, optional_tensor | rope_rows},
      {"blk.{L}.attn_v.weight", "model.layers.{L}.self_attn.v_proj.weight", kv, d},
      {"blk.{L}.attn_v.bias", "model.layers.{L}.self_attn.v_proj.bias", 0, kv, optional_tensor},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.attn_output.bias", "model.layers.{L}.self_attn.o_proj.bias", 0, d, optional_tensor},
      {"blk.{L}.ffn_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d},
      {"blk.{L}.ffn_gate.weight", "model.layers.{L}.mlp.gate_proj.weight", f, d},
      {"blk.{L}.ffn_gate.bias", "model.layers.{L}.mlp.gate_proj.bias", 0, f, optional_tensor},
      {"blk.{L}.ffn_up.weight", "model.layers.{L}.mlp.up_proj.weight", f, d},
      {"blk.{L}.ffn_up.bias", "model.layers.{L}.mlp.up_proj.bias", 0, f, optional_tensor},
      {"blk.{L}.ffn_down.weight", "model.layers.{L}.mlp.down_proj.weight", d, f},
      {"blk.{L}.ffn_down.bias", "model.layers.{L}.mlp.down_proj.bias", 0, d, optional_tensor},
  };
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope =
      p.add_rope(make_rope(c.rope, RopePairs::adjacent, w.find("rope_freqs.weight"), w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope, .window = c.window}));
    x = p.add(x, p.gated_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{
    "llama",
    hf_names,
    config,
    tensors,
    plan,
    "Llama 2 to 3.3, Mistral 7B and Nemo, TinyLlama, SmolLM and SmolLM2, DeepSeek-R1 distills of Llama"};

}  // namespace nibble::inline v0::llama

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<0> {
  static constexpr const Architecture* value = &llama::architecture;
};
}  // namespace nibble::inline v0
