// gpt-oss: attention with sinks, a window in every other layer, yarn; experts in MXFP4 with a clamped gate,
// and biases everywhere. From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::gpt_oss {

inline constexpr std::string_view hf_names[] = {"GptOssForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config absent;
  absent.rope.base = 150'000;
  Config c = read.common(absent);
  read.experts(c, {"expert_count", "num_local_experts"});
  c.window = read.count({"attention.sliding_window", "sliding_window"}, 0);
  c.global = read.global_layers(c.n_layers, every_nth(2, c.n_layers));
  if (read.is_gguf()) c.rope.whole_dims = false;  // which has no key for it
  for (const auto& [key, value] : {std::pair{"swiglu_limit", 7.0}, {"swiglu_alpha", 1.702}}) {
    if (const double found = read.positive_number({"", key}, value); found != value)
      throw read.error(ErrorCode::unsupported, {"", key}, std::to_string(found), std::to_string(value));
  }
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
      {"blk.{L}.attn_q.bias", "model.layers.{L}.self_attn.q_proj.bias", 0, q},
      {"blk.{L}.attn_k.weight", "model.layers.{L}.self_attn.k_proj.weight", kv, d},
      {"blk.{L}.attn_k.bias", "model.layers.{L}.self_attn.k_proj.bias", 0, kv},
      {"blk.{L}.attn_v.weight", "model.layers.{L}.self_attn.v_proj.weight", kv, d},
      {"blk.{L}.attn_v.bias", "model.layers.{L}.self_attn.v_proj.bias", 0, kv},
      {"blk.{L}.attn_sinks.weight", "model.layers.{L}.self_attn.sinks", 0, c.n_heads},
      {"blk.{L}.attn_output.weight", "model.layers.{L}.self_attn.o_proj.weight", d, q},
      {"blk.{L}.attn_output.bias", "model.layers.{L}.self_attn.o_proj.bias", 0, d},
      {"blk.{L}.post_attention_norm.weight", "model.layers.{L}.post_attention_layernorm.weight", 0, d},
      {"blk.{L}.ffn_gate_inp.weight", "model.layers.{L}.mlp.router.weight", n, d},
      {"blk.{L}.ffn_gate_inp.bias", "model.layers.{L}.mlp.router.bias", 0, n},
      {"blk.{L}.ffn_gate_exps.weight", "model.layers.{L}.mlp.experts.gate_up_proj", f, d, even_rows, n},
      {"blk.{L}.ffn_gate_exps.bias", "model.layers.{L}.mlp.experts.gate_up_proj_bias", 0, f, even_rows, n},
      {"blk.{L}.ffn_up_exps.weight", "model.layers.{L}.mlp.experts.gate_up_proj", f, d, odd_rows, n},
      {"blk.{L}.ffn_up_exps.bias", "model.layers.{L}.mlp.experts.gate_up_proj_bias", 0, f, odd_rows, n},
      {"blk.{L}.ffn_down_exps.weight", "model.layers.{L}.mlp.experts.down_proj", d, f, 0, n},
      {"blk.{L}.ffn_down_exps.bias", "model.layers.{L}.mlp.experts.down_proj_bias", 0, d, 0, n},
  };
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::halves, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope, .window = c.window_of(i)}));
    x = p.add(x, p.expert_mlp(p.norm(x, layer("post_attention_norm")), layer, Activation::clamped_swish));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"gpt-oss", hf_names, config, tensors, plan, "gpt-oss 20B and 120B",
                                           true};

}  // namespace nibble::inline v0::gpt_oss

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<22> {
  static constexpr const Architecture* value = &gpt_oss::architecture;
};
}  // namespace nibble::inline v0
