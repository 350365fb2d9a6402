// Qwen 3 with experts: heads of q and k normalised before they turn, a mixture of experts for the MLP.
// From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::qwen3moe {

inline constexpr std::string_view hf_names[] = {"Qwen3MoeForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config c = read.common();
  read.experts(c, {"expert_count", "num_experts"});
  c.normed_experts = read.flag({"expert_weights_norm", "norm_topk_prob"}, read.is_gguf());
  read.demand_text({"", "hidden_act"}, "silu");
  read.demand_flag({"", "use_sliding_window"}, false);
  return c;
}

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.expert_ffn_dim;
  const std::uint32_t n = c.n_experts;
  return {
      {"token_embd.weight", "model.embed_tokens.weight", c.vocab_size, d, padded_rows},
      {"output_norm.weight", "model.norm.weight", 0, d},
      {"output.weight", "lm_head.weight", c.vocab_size, d, optional_tensor | padded_rows},
      {"blk.{L}.attn_norm.weight", "model.layers.{L}.input_layernorm.weight", 0, d},
      {"blk.{L}.attn_q.weight", "model.layers.{L}.self_attn.q_proj.weight", q, d},
      {"blk.{L}.attn_q_norm.weight", "model.layers.{L}.self_attn.q_norm.weight", 0, c.head_dim},
      {"blk.{L}.attn_k.weight", "model.layers.{L}.self_attn.k_proj.weight", kv, d},
      {"blk.{L}.attn_k_norm.weight", "model.layers.{L}.self_attn.k_norm.weight", 0, c.head_dim},
      {"blk.{L}.attn_v.weight", "model.layers.{L}.self_attn.v_proj.weight", kv, d},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.ffn_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d},
      {"blk.{L}.ffn_gate_inp.weight", "model.layers.{L}.mlp.gate.weight", n, d},
      {"blk.{L}.ffn_gate_exps.weight", "model.layers.{L}.mlp.experts.{E}.gate_proj.weight", f, d, 0, n},
      {"blk.{L}.ffn_up_exps.weight", "model.layers.{L}.mlp.experts.{E}.up_proj.weight", f, d, 0, n},
      {"blk.{L}.ffn_down_exps.weight", "model.layers.{L}.mlp.experts.{E}.down_proj.weight", d, f, 0, n},
  };
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::halves, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope}));
    x = p.add(x, p.expert_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"qwen3moe", hf_names, config, tensors, plan, "Qwen 3 with experts",
                                           true};

}  // namespace nibble::inline v0::qwen3moe

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<21> {
  static constexpr const Architecture* value = &qwen3moe::architecture;
};
}  // namespace nibble::inline v0
