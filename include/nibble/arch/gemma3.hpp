// Gemma 3's text model: Gemma 2 with normalised heads instead of soft-caps, five layers with a window to each
// without, and another rotary base for those. From hyperparameters and weights to a plan; listed in
// arch/all.hpp.
#pragma once

#include "nibble/arch/gemma2.hpp"

namespace nibble::inline v0::gemma3 {

inline constexpr std::string_view hf_names[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"};

// What config.json of the larger models leaves out.
inline Config transformers_defaults() {
  Config c;
  c.n_layers = 26, c.embed_dim = 2304, c.ffn_dim = 9216;
  c.n_heads = 8, c.n_kv_heads = 4, c.head_dim = 256;
  c.vocab_size = 262'208, c.context_length = 131'072;
  c.norm_eps = 1e-6, c.rope.base = 1e6;
  return c;
}

inline Config config(const ConfigReader& read) {
  Config c = read.common(transformers_defaults());
  read.demand_text({"", "hidden_activation"}, "gelu_pytorch_tanh");
  read.demand_flag({"", "use_bidirectional_attention"}, false);
  read.demand_text({"", "rope_parameters.sliding_attention.rope_type"}, "default");
  c.window = read.count({"attention.sliding_window", "sliding_window"}, read.is_gguf() ? 0 : 4096);
  c.global = read.global_layers(c.n_layers, every_nth(6, c.n_layers));
  c.attention_scale = gemma2::attention_scale(read, c, 62);
  c.attention_softcap = read.positive_number(gemma2::attention_softcap, 0);
  c.logit_softcap = read.positive_number(gemma2::logit_softcap, 0);
  c.embedding_scale = std::sqrt(c.embed_dim);
  c.local_rope.dim = c.rope.dim;
  c.local_rope.base =
      read.positive_number({"rope.freq_base_swa", "rope_local_base_freq"},
                           read.positive_number({"", "rope_parameters.sliding_attention.rope_theta"}, 1e4));
  return c;
}

inline std::vector<TensorRow> tensors(const Config& c) {
  std::vector<TensorRow> rows = gemma2::tensors(c);
  rows.push_back(
      {"blk.{L}.attn_q_norm.weight", "model.layers.{L}.self_attn.q_norm.weight", 0, c.head_dim, plus1});
  rows.push_back(
      {"blk.{L}.attn_k_norm.weight", "model.layers.{L}.self_attn.k_norm.weight", 0, c.head_dim, plus1});
  return rows;
}

inline constexpr Architecture architecture{"gemma3", hf_names,     config,
                                           tensors,  gemma2::plan, "Gemma 3, text"};

}  // namespace nibble::inline v0::gemma3

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<14> {
  static constexpr const Architecture* value = &gemma3::architecture;
};
}  // namespace nibble::inline v0
