// From Config to GGUF: what llama.cpp's own converters write for the same model.
// See gguf_keys.hpp.
#include "gguf_keys.hpp"

#include <cstring>

#include "nibble/model/plan.hpp"

namespace cli {

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
  if (config.window != 0) set("attention.sliding_window", std::int64_t{config.window});
  set("vocab_size", std::int64_t{config.vocab_size});
  set("rope.dimension_count", std::int64_t{config.rope.dim});
  set("rope.freq_base", config.rope.base);
  if (config.rope.scaling == nibble::RopeScaling::linear) {
    set("rope.scaling.type", std::string("linear"));
    set("rope.scaling.factor", config.rope.factor);
  }
  return metadata;
}

nibble::GgufTensor make_vector(std::string name, std::vector<float> values) {
  const nibble::Shape shape{values.size()};
  return {std::move(name), nibble::Dtype::F32, shape, [values = std::move(values)](std::span<std::byte> out) {
            std::memcpy(out.data(), values.data(), out.size());
          }};
}

std::vector<nibble::GgufTensor> rope_tensors(const nibble::RopeConfig& rope) {
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
