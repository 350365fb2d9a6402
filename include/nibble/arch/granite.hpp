// Granite 3, dense: the llama layer with four multipliers.
// From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/arch/llama.hpp"

namespace nibble::inline v0::granite {

inline constexpr std::string_view hf_names[] = {"GraniteForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config c = read.common();
  read.demand_text({"", "hidden_act"}, "silu");
  read.demand_flag({"rope.scaling.finetuned", ""},
                   true);  // false: the hybrid models, which know no positions
  c.embedding_scale = read.positive_number({"embedding_scale", "embedding_multiplier"}, 1);
  // Without one, config.json means 1 and a GGUF file the usual 1 / sqrt(head_dim).
  c.attention_scale =
      read.positive_number({"attention.scale", "attention_multiplier"}, read.is_gguf() ? 0 : 1);
  c.residual_scale = read.positive_number({"residual_scale", "residual_multiplier"}, 1);
  c.logit_scale = 1 / read.positive_number({"logit_scale", "logits_scaling"}, 1);
  return c;
}

inline constexpr Architecture architecture{"granite",      hf_names,    config,
                                           llama::tensors, llama::plan, "Granite 3, dense"};

}  // namespace nibble::inline v0::granite

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<16> {
  static constexpr const Architecture* value = &granite::architecture;
};
}  // namespace nibble::inline v0
