// Gemma 2: norms before and after each part, every other layer with a window, soft-caps on attention and
// logits. From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::gemma2 {

inline constexpr std::string_view hf_names[] = {"Gemma2ForCausalLM"};
inline constexpr Key attention_softcap{"attn_logit_softcapping", "attn_logit_softcapping"};
inline constexpr Key logit_softcap{"final_logit_softcapping", "final_logit_softcapping"};

// GGUF files leave query_pre_attn_scalar out: it is the head size, but for the 27B models.
inline double attention_scale(const ConfigReader& read, const Config& c, std::uint32_t layers_of_27b) {
  if (!read.is_gguf()) return 1 / std::sqrt(read.positive_number({"", "query_pre_attn_scalar"}, 256));
  return 1 / std::sqrt(c.n_layers == layers_of_27b ? c.embed_dim / c.n_heads : c.head_dim);
}

inline Config config(const ConfigReader& read) {
  Config c = read.common();
  read.demand_text({"", "hidden_activation"}, "gelu_pytorch_tanh");
  c.window = read.positive({"attention.sliding_window", "sliding_window"}, 4096);
  c.global = read.global_layers(c.n_layers, every_nth(2, c.n_layers));
  c.attention_scale = attention_scale(read, c, 46);
  c.attention_softcap = read.positive_number(attention_softcap, read.is_gguf() ? 50 : 0);  // null: none
  c.logit_softcap = read.positive_number(logit_softcap, read.is_gguf() ? 30 : 0);
  c.embedding_scale = std::sqrt(c.embed_dim);  // not rounded to bfloat16, whatever the weights' type
  return c;
}

inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.ffn_dim;
  return {
      {"token_embd.weight", "model.embed_tokens.weight", c.vocab_size, d, padded_rows},
      {"output_norm.weight", "model.norm.weight", 0, d, plus1},
      {"blk.{L}.attn_norm.weight", "model.layers.{L}.input_layernorm.weight", 0, d, plus1},
      {"blk.{L}.attn_q.weight", "model.layers.{L}.self_attn.q_proj.weight", q, d},
      {"blk.{L}.attn_k.weight", "model.layers.{L}.self_attn.k_proj.weight", kv, d},
      {"blk.{L}.attn_v.weight", "model.layers.{L}.self_attn.v_proj.weight", kv, d},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.post_attention_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d, plus1},
      {"blk.{L}.ffn_norm.weight", "model.layers.{L}.pre_feedforward_layernorm.weight", 0, d, plus1},
      {"blk.{L}.ffn_gate.weight", "model.layers.{L}.mlp.gate_proj.weight", f, d},
      {"blk.{L}.ffn_up.weight", "model.layers.{L}.mlp.up_proj.weight", f, d},
      {"blk.{L}.ffn_down.weight", "model.layers.{L}.mlp.down_proj.weight", d, f},
      {"blk.{L}.post_ffw_norm.weight", "model.layers.{L}.post_feedforward_layernorm.weight", 0, d, plus1},
  };
}

// Gemma 3's plan too: its layers with a window turn by a table of their own, and it normalises heads.
inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::halves, no_weight, w));
  std::uint32_t local = rope;
  if (c.local_rope.dim != 0) local = p.add_rope(make_rope(c.local_rope, RopePairs::halves, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    const Slot seen = p.attention(p.norm(x, layer("attn_norm")), layer,
                                  {.rope = c.window_of(i) == 0 ? rope : local, .window = c.window_of(i)});
    x = p.add(x, p.norm(seen, layer("post_attention_norm")));
    const Slot mixed = p.gated_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::gelu_tanh);
    x = p.add(x, p.norm(mixed, layer("post_ffw_norm")));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"gemma2", hf_names, config, tensors, plan, "Gemma 2"};

}  // namespace nibble::inline v0::gemma2

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<13> {
  static constexpr const Architecture* value = &gemma2::architecture;
};
}  // namespace nibble::inline v0
