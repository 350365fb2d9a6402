// The table of presets and the GGUF metadata that goes with one.
// See presets.hpp.
#include "presets.hpp"

#include <vector>

#include "exit_code.hpp"

namespace cli {

namespace {

constexpr double norm_eps = 1e-5;

constexpr Preset presets[] = {
    // layers, embed, heads, kv heads, head dim, ffn, vocabulary, context, rope base, llama3 factor, tied
    {"tiny", "llama", 2, 256, 4, 2, 64, 512, 512, 256, 1e4, 0, true, "gpt-2"},
    {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, 1e5, 0, true, "smollm"},
    {"smollm2-360m", "llama", 32, 960, 15, 5, 64, 2560, 49152, 8192, 1e5, 0, true, "smollm"},
    {"smollm2-1.7b", "llama", 24, 2048, 32, 32, 64, 8192, 49152, 8192, 1.3e5, 0, true, "smollm"},
    {"tinyllama-1.1b", "llama", 22, 2048, 32, 4, 64, 5632, 32000, 2048, 1e4, 0, false, "gpt-2"},
    {"llama-2-7b", "llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096, 1e4, 0, false, "gpt-2"},
    {"llama-3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5, 8, false, "llama-bpe"},
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5, 32, true, "llama-bpe"},
    {"llama-3.2-3b", "llama", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 5e5, 32, true, "llama-bpe"},
    {"mistral-7b", "llama", 32, 4096, 32, 8, 128, 14336, 32768, 32768, 1e6, 0, false, "gpt-2"},
};

std::string utf8(std::uint32_t code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3f))};
}

// The printable stand-ins of the 256 bytes in byte-level BPE, by byte.
std::vector<std::string> byte_alphabet() {
  std::vector<std::string> alphabet;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet.push_back(utf8(printable ? byte : next++));
  }
  return alphabet;
}

void add_vocabulary(const Preset& preset, nibble::Metadata& metadata) {
  constexpr std::int64_t normal = 1, control = 3;
  std::vector<std::string> tokens = byte_alphabet();
  const std::string space = tokens[' '];
  while (tokens.size() < preset.vocab_size - 2) tokens.push_back(space + "w" + std::to_string(tokens.size()));
  std::vector<std::int64_t> kinds(tokens.size(), normal);
  for (const char* text : {"<|begin_of_text|>", "<|end_of_text|>"}) {
    tokens.push_back(text);
    kinds.push_back(control);
  }
  const auto size = static_cast<std::int64_t>(tokens.size());
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", std::string(preset.pre_tokenizer));
  metadata.set("tokenizer.ggml.tokens", std::move(tokens));
  metadata.set("tokenizer.ggml.token_type", std::move(kinds));
  metadata.set("tokenizer.ggml.merges", std::vector<std::string>());
  metadata.set("tokenizer.ggml.bos_token_id", size - 2);
  metadata.set("tokenizer.ggml.eos_token_id", size - 1);
  metadata.set("tokenizer.ggml.add_bos_token", true);
}

}  // namespace

const Preset& find_preset(const std::string& name) {
  for (const Preset& preset : presets) {
    if (preset.name == name) return preset;
  }
  throw Failure(usage, "unknown preset " + name + ", there are " + preset_names());
}

std::string preset_names() {
  std::string names;
  for (const Preset& preset : presets) names += (names.empty() ? "" : ", ") + std::string(preset.name);
  return names;
}

nibble::Config config_of(const Preset& preset) {
  nibble::Config config;
  config.architecture = preset.architecture;
  config.name = preset.name;
  config.n_layers = preset.n_layers;
  config.embed_dim = preset.embed_dim;
  config.n_heads = preset.n_heads;
  config.n_kv_heads = preset.n_kv_heads;
  config.head_dim = preset.head_dim;
  config.ffn_dim = preset.ffn_dim;
  config.vocab_size = preset.vocab_size;
  config.context_length = preset.context_length;
  config.norm_eps = norm_eps;
  config.rope.dim = preset.head_dim;
  config.rope.base = preset.rope_base;
  if (preset.llama3_factor != 0) {
    config.rope.scaling = nibble::RopeScaling::llama3;
    config.rope.factor = preset.llama3_factor;
  }
  return config;
}

nibble::Metadata metadata_of(const Preset& preset) {
  nibble::Metadata metadata;
  const std::string architecture(preset.architecture);
  const auto set = [&](const char* key, nibble::Value value) {
    metadata.set(architecture + "." + key, std::move(value));
  };
  metadata.set("general.architecture", architecture);
  metadata.set("general.name", std::string(preset.name) + " (random weights)");
  set("block_count", std::int64_t{preset.n_layers});
  set("context_length", std::int64_t{preset.context_length});
  set("embedding_length", std::int64_t{preset.embed_dim});
  set("feed_forward_length", std::int64_t{preset.ffn_dim});
  set("attention.head_count", std::int64_t{preset.n_heads});
  set("attention.head_count_kv", std::int64_t{preset.n_kv_heads});
  set("attention.key_length", std::int64_t{preset.head_dim});
  set("attention.value_length", std::int64_t{preset.head_dim});
  set("attention.layer_norm_rms_epsilon", norm_eps);
  set("rope.dimension_count", std::int64_t{preset.head_dim});
  set("rope.freq_base", preset.rope_base);
  set("vocab_size", std::int64_t{preset.vocab_size});
  add_vocabulary(preset, metadata);
  return metadata;
}

}  // namespace cli
