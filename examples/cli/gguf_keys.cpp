// From Config to GGUF: what llama.cpp's own converters write for the same model.
// See gguf_keys.hpp.
#include "gguf_keys.hpp"

#include <cmath>
#include <cstring>

#include "nibble/model/architecture.hpp"

namespace cli {

namespace {

void set_rope(const nibble::Config& config, nibble::Metadata& metadata) {
  const auto set = [&](const char* key, nibble::Value value) {
    metadata.set(config.architecture + ".rope." + key, std::move(value));
  };
  const nibble::RopeConfig& rope = config.rope;
  const auto original = static_cast<std::int64_t>(rope.original_context);
  set("dimension_count", std::int64_t{rope.dim});
  set("freq_base", rope.base);
  if (config.local_rope.dim != 0) set("freq_base_swa", config.local_rope.base);
  switch (rope.scaling) {
    case nibble::RopeScaling::linear:
      set("scaling.type", std::string("linear"));
      return set("scaling.factor", rope.factor);
    case nibble::RopeScaling::yarn:
      set("scaling.type", std::string("yarn"));
      set("scaling.factor", rope.factor);
      set("scaling.yarn_beta_fast", rope.fast_turns);
      set("scaling.yarn_beta_slow", rope.slow_turns);
      return set("scaling.original_context_length", original);
    case nibble::RopeScaling::longrope:  // its divisors are tensors, as llama3's are
      set("scaling.attn_factor", rope.magnitude);
      return set("scaling.original_context_length", original);
    case nibble::RopeScaling::none:
    case nibble::RopeScaling::dynamic:
    case nibble::RopeScaling::llama3: return;
  }
}

// What only some families have.
void set_family(const nibble::Config& config, nibble::Metadata& metadata) {
  const auto set = [&](const char* key, nibble::Value value) {
    metadata.set(config.architecture + "." + key, std::move(value));
  };
  // Phi-3's must be there: 0 says none.
  if (config.window != 0 || config.architecture == "phi3") {
    set("attention.sliding_window", std::int64_t{config.window});
  }
  if (config.window != 0 && !config.global.empty()) {
    // A period where there is one: other readers know nothing else.
    std::uint32_t n = 2;
    while (n <= config.n_layers && nibble::every_nth(n, config.n_layers) != config.global) ++n;
    std::vector<bool> windowed = config.global;
    windowed.flip();
    const bool periodic = nibble::every_nth(n, config.n_layers) == config.global;
    set("attention.sliding_window_pattern",
        periodic ? nibble::Value(std::int64_t{n}) : nibble::Value(windowed));
  }
  if (config.n_experts != 0) {
    set("expert_count", std::int64_t{config.n_experts});
    set("expert_used_count", std::int64_t{config.n_experts_used});
    set("expert_feed_forward_length", std::int64_t{config.expert_ffn_dim});
  }
  if (config.attention_softcap != 0) set("attn_logit_softcapping", config.attention_softcap);
  if (config.logit_softcap != 0) set("final_logit_softcapping", config.logit_softcap);
  if (config.architecture == "granite") {
    set("attention.scale", config.attention_scale);
    set("embedding_scale", config.embedding_scale);
    set("residual_scale", config.residual_scale);
    set("logit_scale", 1 / config.logit_scale);
  }
}

}  // namespace

nibble::Metadata gguf_keys(const nibble::Config& config) {
  nibble::Metadata metadata;
  const auto set = [&](const char* key, nibble::Value value) {
    metadata.set(config.architecture + "." + key, std::move(value));
  };
  metadata.set("general.architecture", config.architecture);
  metadata.set("general.type", std::string("model"));
  if (!config.name.empty()) metadata.set("general.name", config.name);
  set("block_count", std::int64_t{config.n_layers});
  set("context_length", std::int64_t{config.context_length});
  set("embedding_length", std::int64_t{config.embed_dim});
  set("feed_forward_length", std::int64_t{config.ffn_dim});
  set("attention.head_count", std::int64_t{config.n_heads});
  set("attention.head_count_kv", std::int64_t{config.n_kv_heads});
  set("attention.key_length", std::int64_t{config.head_dim});
  set("attention.value_length", std::int64_t{config.head_dim});
  set("attention.layer_norm_rms_epsilon", config.norm_eps);
  set("vocab_size", std::int64_t{config.vocab_size});
  set_rope(config, metadata);
  set_family(config, metadata);
  return metadata;
}

nibble::Config read_keys(const nibble::Metadata& metadata) {
  nibble::Checkpoint checkpoint;
  checkpoint.metadata = metadata;
  const nibble::Architecture& architecture = nibble::find_architecture(checkpoint);
  const nibble::Limits limits;
  return architecture.config(nibble::ConfigReader(checkpoint, architecture.name, limits));
}

std::string first_untold(const nibble::Config& config) {
  const nibble::Config told = read_keys(gguf_keys(config));
  const auto same = [](double a, double b) { return std::fabs(a - b) <= 1e-6 * std::fabs(a); };
  const auto scale = [](const nibble::Config& of) {
    return of.attention_scale != 0 ? of.attention_scale : 1 / std::sqrt(of.head_dim);
  };
  const auto by_tensor = [](const nibble::RopeConfig& rope) {
    return rope.scaling == nibble::RopeScaling::llama3 || rope.scaling == nibble::RopeScaling::longrope;
  };
  if (told.window != config.window) return "a sliding window";
  if (config.window != 0 && told.global != config.global) return "which layers have a window";
  if (told.no_rope != config.no_rope) return "which layers know positions";
  if (told.normed_experts != config.normed_experts) return "whether weights of experts add up to 1";
  if (!same(scale(config), scale(told))) return "the scale of attention";
  if (!same(config.attention_softcap, told.attention_softcap)) return "the soft-cap of attention";
  if (!same(config.logit_softcap, told.logit_softcap)) return "the soft-cap of logits";
  if (!same(config.rope.magnitude, told.rope.magnitude)) return "the magnitude of rotary positions";
  if (!by_tensor(config.rope) && told.rope.scaling != config.rope.scaling)
    return "the scaling of rotary positions";
  if (config.rope.scaling == nibble::RopeScaling::yarn && told.rope.whole_dims != config.rope.whole_dims)
    return "the bounds of yarn";
  return "";
}

nibble::GgufTensor make_vector(std::string name, std::vector<float> values) {
  const nibble::Shape shape{values.size()};
  return {std::move(name), nibble::Dtype::F32, shape, [values = std::move(values)](std::span<std::byte> out) {
            std::memcpy(out.data(), values.data(), out.size());
          }};
}

std::vector<nibble::GgufTensor> rope_tensors(const nibble::RopeConfig& rope) {
  if (rope.scaling == nibble::RopeScaling::longrope) {
    return {
        make_vector("rope_factors_long.weight", {rope.long_divisors.begin(), rope.long_divisors.end()}),
        make_vector("rope_factors_short.weight", {rope.short_divisors.begin(), rope.short_divisors.end()})};
  }
  if (rope.scaling != nibble::RopeScaling::llama3) return {};
  nibble::RopeConfig plain = rope;
  plain.scaling = nibble::RopeScaling::none;
  const auto frequencies = [](const nibble::RopeConfig& of) {
    return nibble::make_rope(of, nibble::RopePairs::adjacent, nibble::no_weight, {}).inverse_frequency;
  };
  std::vector<float> divisors = frequencies(plain);
  const std::vector<float> stretched = frequencies(rope);
  for (std::size_t i = 0; i < divisors.size(); ++i) divisors[i] /= stretched[i];
  return {make_vector("rope_freqs.weight", std::move(divisors))};
}

}  // namespace cli
