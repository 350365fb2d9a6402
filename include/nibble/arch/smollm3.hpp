// SmolLM3: the llama layer, with layers that know no positions in between.
// From hyperparameters and weights to a plan; listed in arch/all.hpp.
#pragma once

#include "nibble/arch/llama.hpp"

namespace nibble::inline v0::smollm3 {

inline constexpr std::string_view hf_names[] = {"SmolLM3ForCausalLM"};

inline Config config(const ConfigReader& read) {
  Config absent;
  absent.rope.base = 2e6;
  Config c = read.common(absent);
  read.demand_text({"", "hidden_act"}, "silu");
  c.no_rope = read.layer_flags({"", "no_rope_layers"}, c.n_layers);
  c.no_rope.flip();  // 1 says that a layer has positions
  if (c.no_rope.empty()) c.no_rope = every_nth(read.positive({"", "no_rope_layer_interval"}, 4), c.n_layers);
  if (read.flag({"", "use_sliding_window"}, false)) {
    c.window = read.positive({"", "sliding_window"});
    std::vector<bool> with_positions = c.no_rope;
    with_positions.flip();
    c.global = read.global_layers(c.n_layers, std::move(with_positions));
  }
  return c;
}

inline Plan plan(const Config& c, const Weights& w) {
  PlanBuilder p(c, w);
  const std::uint32_t rope = p.add_rope(make_rope(c.rope, RopePairs::adjacent, no_weight, w));
  Slot x = p.embed("token_embd");
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const Layer layer{i};
    x = p.add(x, p.attention(p.norm(x, layer("attn_norm")), layer,
                             {.rope = c.no_rope[i] ? no_rope : rope, .window = c.window_of(i)}));
    x = p.add(x, p.gated_mlp(p.norm(x, layer("ffn_norm")), layer, Activation::silu));
  }
  return p.finish(x, "output_norm", "output", "token_embd");
}

inline constexpr Architecture architecture{"smollm3", hf_names, config, llama::tensors, plan, "SmolLM3"};

}  // namespace nibble::inline v0::smollm3

namespace nibble::inline v0 {
template <>
struct ArchitectureAt<15> {
  static constexpr const Architecture* value = &smollm3::architecture;
};
}  // namespace nibble::inline v0
