// Qwen 3, dense: Qwen 2 with heads of q and k normalised before they turn, and no biases.
// From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/arch/qwen2.hpp"

namespace nibble::inline v0::qwen3 {

inline constexpr std::string_view hf_names[] = {"Qwen3ForCausalLM"};

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.q_dim(), kv = c.kv_dim(), f = c.ffn_dim;
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
      {"blk.{L}.ffn_gate.weight", "model.layers.{L}.mlp.gate_proj.weight", f, d},
      {"blk.{L}.ffn_up.weight", "model.layers.{L}.mlp.up_proj.weight", f, d},
      {"blk.{L}.ffn_down.weight", "model.layers.{L}.mlp.down_proj.weight", d, f},
  };
}

inline constexpr Architecture architecture{"qwen3", hf_names,    qwen2::config,
                                           tensors, qwen2::plan, "Qwen 3, dense"};

}  // namespace nibble::inline v0::qwen3

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<11> {
  static constexpr const Architecture* value = &qwen3::architecture;
};
}  // namespace nibble::inline v0
