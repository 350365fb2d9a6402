// Mixtral: llama's attention, and in place of the MLP a mixture of experts, two of eight for each token. GGUF
// files call it llama, too. From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include <algorithm>

#include "nibble/arch/llama.hpp"

namespace nibble::inline v0::mixtral {

inline constexpr std::string_view hf_names[] = {"MixtralForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config c = llama::config(read);
  read.experts(c, {"expert_count", "num_local_experts"});
  return c;
}

// llama's, with experts for its MLP.
inline std::vector<TensorRow> tensors(const Config& c) {
  const std::uint64_t d = c.embed_dim, f = c.expert_ffn_dim;
  const std::uint32_t n = c.n_experts;
  std::vector<TensorRow> rows = llama::tensors(c);
  std::erase_if(rows, [](const TensorRow& row) { return row.hf_name.find(".mlp.") != row.hf_name.npos; });
  const TensorRow mixture[] = {
      {"blk.{L}.ffn_gate_inp.weight", "model.layers.{L}.block_sparse_moe.gate.weight", n, d},
      {"blk.{L}.ffn_gate_exps.weight", "model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight", f, d, 0, n},
      {"blk.{L}.ffn_up_exps.weight", "model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight", f, d, 0, n},
      {"blk.{L}.ffn_down_exps.weight", "model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight", d, f, 0, n},
  };
  rows.insert(rows.end(), std::begin(mixture), std::end(mixture));
  return rows;
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope =
      p.add_rope(make_rope(c.rope, RopePairs::adjacent, w.find("rope_freqs.weight"), w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer, {.rope = rope, .window = c.window}));
    x = p.add(x, p.expert_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"llama", hf_names, config, tensors, plan, "Mixtral 8x7B and 8x22B",
                                           true};

}  // namespace nibble::inline v0::mixtral

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<20> {
  static constexpr const Architecture* value = &mixtral::architecture;
};
}  // namespace nibble::inline v0
