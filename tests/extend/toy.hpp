// A toy family: attention and MLP side by side after one norm. What tests/extend/ adds to prove that an
// architecture is one file and one line; listed in arch/all.hpp by the test.
#pragma once

#include "nibble/model/architecture.hpp"
#include "nibble/model/blocks.hpp"

namespace nibble::inline v0::toy {

inline constexpr std::string_view hf_names[] = {"ToyForCausalLM"};

inline Config config(const ConfigReader& read) { return read.common(); }

// Shapes are (rows, cols) = (out, in).
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, q = c.n_heads * c.head_dim, kv = c.n_kv_heads * c.head_dim,
                      f = c.ffn_dim;
  return {
      {"token_embd.weight", "embed.weight", c.vocab_size, d},
      {"output_norm.weight", "norm.weight", 0, d},
      {"output.weight", "head.weight", c.vocab_size, d, optional_tensor},
      {"blk.{L}.attn_norm.weight", "layers.{L}.norm.weight", 0, d},
      {"blk.{L}.attn_q.weight", "layers.{L}.q.weight", q, d, rope_rows},
      {"blk.{L}.attn_k.weight", "layers.{L}.k.weight", kv, d, rope_rows},
      {"blk.{L}.attn_v.weight", "layers.{L}.v.weight", kv, d},
      {"blk.{L}.attn_output.weight", "layers.{L}.o.weight", d, q},
      {"blk.{L}.ffn_gate.weight", "layers.{L}.gate.weight", f, d},
      {"blk.{L}.ffn_up.weight", "layers.{L}.up.weight", f, d},
      {"blk.{L}.ffn_down.weight", "layers.{L}.down.weight", d, f},
  };
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::adjacent, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    const Slot normed = p.norm(x, layer("attn_norm"));
    const Slot seen = p.attention(normed, layer, {.rope = rope});
    x = p.add(p.add(x, seen), p.gated_mlp(normed, layer, Activation::gelu_tanh));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"toy", hf_names, config, tensors, plan};

}  // namespace nibble::inline v0::toy

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<200> {
  static constexpr const Architecture* value = &toy::architecture;
};
}  // namespace nibble::inline v0
