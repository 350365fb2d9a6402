// The table of presets and the GGUF metadata that goes with one.
// See presets.hpp.
#include "presets.hpp"

#include <algorithm>
#include <vector>

#include "exit_code.hpp"
#include "gguf_keys.hpp"

namespace cli {

namespace {

constexpr double norm_eps = 1e-5, small_eps = 1e-6;
constexpr std::string_view eps = "attention.layer_norm_rms_epsilon", window = "attention.sliding_window";
constexpr std::int64_t k = 1024;

constexpr Extra windowed[] = {{window, 4 * k}};
constexpr Extra small[] = {{eps, small_eps}};
constexpr Extra of_8_experts[] = {{"expert_count", 8}, {"expert_used_count", 2}};
constexpr Extra of_128_experts[] = {
    {eps, small_eps}, {"expert_count", 128}, {"expert_used_count", 8}, {"expert_feed_forward_length", 768}};
constexpr Extra phi3_short[] = {{window, 2047}};
constexpr Extra phi3_long[] = {{window, 256 * k},
                               {"rope.scaling.original_context_length", 4 * k},
                               {"rope.scaling.attn_factor", 1.190238}};
constexpr Extra phi3_medium_long[] = {{window, 128 * k},
                                      {"rope.scaling.original_context_length", 4 * k},
                                      {"rope.scaling.attn_factor", 1.190238}};
constexpr Extra phi4[] = {{window, 0}};
constexpr Extra phi4_mini[] = {{"rope.dimension_count", 96},
                               {window, 256 * k},
                               {"rope.scaling.original_context_length", 4 * k},
                               {"rope.scaling.attn_factor", 1.190238}};
constexpr Extra gemma2[] = {
    {eps, small_eps}, {window, 4 * k}, {"attn_logit_softcapping", 50.0}, {"final_logit_softcapping", 30.0}};
constexpr Extra gemma3_small[] = {{eps, small_eps}, {window, 512}, {"rope.freq_base_swa", 1e4}};
constexpr Extra gemma3[] = {{eps, small_eps},
                            {window, 1024},
                            {"rope.freq_base_swa", 1e4},
                            {"rope.scaling.type", "linear"},
                            {"rope.scaling.factor", 8.0}};
constexpr Extra gpt_oss_20b[] = {{"expert_count", 32},
                                 {"expert_used_count", 4},
                                 {"expert_feed_forward_length", 2880},
                                 {window, 128},
                                 {"rope.scaling.type", "yarn"},
                                 {"rope.scaling.factor", 32.0},
                                 {"rope.scaling.original_context_length", 4 * k}};
constexpr Extra gpt_oss_120b[] = {{"expert_count", 128},
                                  {"expert_used_count", 4},
                                  {"expert_feed_forward_length", 2880},
                                  {window, 128},
                                  {"rope.scaling.type", "yarn"},
                                  {"rope.scaling.factor", 32.0},
                                  {"rope.scaling.original_context_length", 4 * k}};

constexpr Stretch plain = Stretch::none, by_8 = Stretch::llama3_by_8, by_32 = Stretch::llama3_by_32,
                  longrope = Stretch::longrope;
constexpr bool tied = true, own = false;  // output matrix

// clang-format off
constexpr Preset presets[] = {
    // layers, embed, heads, KV heads, head dim, ffn, vocabulary, context, rope base
    {"tiny", "llama", 2, 256, 4, 2, 64, 512, 512, 256, 1e4, tied, "gpt-2"},
    {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, 1e5, tied, "smollm"},
    {"smollm2-360m", "llama", 32, 960, 15, 5, 64, 2560, 49152, 8192, 1e5, tied, "smollm"},
    {"smollm2-1.7b", "llama", 24, 2048, 32, 32, 64, 8192, 49152, 8192, 1.3e5, tied, "smollm"},
    {"smollm3-3b", "smollm3", 36, 2048, 16, 4, 128, 11008, 128256, 65536, 5e6, tied, "llama-bpe", plain, small},
    {"tinyllama-1.1b", "llama", 22, 2048, 32, 4, 64, 5632, 32000, 2048, 1e4, own, "gpt-2"},
    {"llama-2-7b", "llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096, 1e4, own, "gpt-2"},
    {"llama-2-13b", "llama", 40, 5120, 40, 40, 128, 13824, 32000, 4096, 1e4, own, "gpt-2"},
    {"llama-2-70b", "llama", 80, 8192, 64, 8, 128, 28672, 32000, 4096, 1e4, own, "gpt-2"},
    {"llama-3-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 8192, 5e5, own, "llama-bpe"},
    {"llama-3-70b", "llama", 80, 8192, 64, 8, 128, 28672, 128256, 8192, 5e5, own, "llama-bpe"},
    {"llama-3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"r1-distill-llama-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"llama-3.1-70b", "llama", 80, 8192, 64, 8, 128, 28672, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"llama-3.3-70b", "llama", 80, 8192, 64, 8, 128, 28672, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"r1-distill-llama-70b", "llama", 80, 8192, 64, 8, 128, 28672, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"llama-3.1-405b", "llama", 126, 16384, 128, 8, 128, 53248, 128256, 131072, 5e5, own, "llama-bpe", by_8},
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5, tied, "llama-bpe", by_32},
    {"llama-3.2-3b", "llama", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 5e5, tied, "llama-bpe", by_32},
    {"mistral-7b-v0.1", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, 1e4, own, "gpt-2", plain, windowed},
    {"mistral-7b-v0.2", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, 1e6, own, "gpt-2"},
    {"mistral-7b", "llama", 32, 4096, 32, 8, 128, 14336, 32768, 32768, 1e6, own, "gpt-2"},
    {"mixtral-8x7b", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, 1e6, own, "gpt-2", plain, of_8_experts},
    {"mixtral-8x22b", "llama", 56, 6144, 48, 8, 128, 16384, 32768, 65536, 1e6, own, "gpt-2", plain, of_8_experts},
    {"qwen2-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, 1e6, tied, "qwen2", plain, small},
    {"qwen2-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1e6, tied, "qwen2", plain, small},
    {"qwen2-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"qwen2-72b", "qwen2", 80, 8192, 64, 8, 128, 29568, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, 1e6, tied, "qwen2", plain, small},
    {"qwen2.5-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1e6, tied, "qwen2", plain, small},
    {"qwen2.5-3b", "qwen2", 36, 2048, 16, 2, 128, 11008, 151936, 32768, 1e6, tied, "qwen2", plain, small},
    {"qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"qwen2.5-14b", "qwen2", 48, 5120, 40, 8, 128, 13824, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"qwen2.5-32b", "qwen2", 64, 5120, 40, 8, 128, 27648, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"qwen2.5-72b", "qwen2", 80, 8192, 64, 8, 128, 29568, 152064, 32768, 1e6, own, "qwen2", plain, small},
    {"r1-distill-qwen-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 131072, 1e4, own, "deepseek-r1-qwen", plain, small},
    {"r1-distill-qwen-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 131072, 1e4, own, "deepseek-r1-qwen", plain, small},
    {"r1-distill-qwen-14b", "qwen2", 48, 5120, 40, 8, 128, 13824, 152064, 131072, 1e6, own, "deepseek-r1-qwen", plain, small},
    {"r1-distill-qwen-32b", "qwen2", 64, 5120, 40, 8, 128, 27648, 152064, 131072, 1e6, own, "deepseek-r1-qwen", plain, small},
    {"qwen3-0.6b", "qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, 1e6, tied, "qwen2", plain, small},
    {"qwen3-1.7b", "qwen3", 28, 2048, 16, 8, 128, 6144, 151936, 40960, 1e6, tied, "qwen2", plain, small},
    {"qwen3-4b", "qwen3", 36, 2560, 32, 8, 128, 9728, 151936, 40960, 1e6, tied, "qwen2", plain, small},
    {"qwen3-8b", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 40960, 1e6, own, "qwen2", plain, small},
    {"qwen3-14b", "qwen3", 40, 5120, 40, 8, 128, 17408, 151936, 40960, 1e6, own, "qwen2", plain, small},
    {"qwen3-32b", "qwen3", 64, 5120, 64, 8, 128, 25600, 151936, 40960, 1e6, own, "qwen2", plain, small},
    {"qwen3-30b-a3b", "qwen3moe", 48, 2048, 32, 4, 128, 6144, 151936, 40960, 1e6, own, "qwen2", plain, of_128_experts},
    {"phi-3-mini", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 4096, 1e4, own, "gpt-2", plain, phi3_short},
    {"phi-3-mini-128k", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 131072, 1e4, own, "gpt-2", longrope, phi3_long},
    {"phi-3.5-mini", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 131072, 1e4, own, "gpt-2", longrope, phi3_long},
    {"phi-3-medium", "phi3", 40, 5120, 40, 10, 128, 17920, 32064, 4096, 1e4, own, "gpt-2", plain, phi3_short},
    {"phi-3-medium-128k", "phi3", 40, 5120, 40, 10, 128, 17920, 32064, 131072, 1e4, own, "gpt-2", longrope, phi3_medium_long},
    {"phi-4", "phi3", 40, 5120, 40, 10, 128, 17920, 100352, 16384, 2.5e5, own, "dbrx", plain, phi4},
    {"phi-4-mini", "phi3", 32, 3072, 24, 8, 128, 8192, 200064, 131072, 1e4, tied, "gpt-4o", longrope, phi4_mini},
    {"gemma-2-2b", "gemma2", 26, 2304, 8, 4, 256, 9216, 256000, 8192, 1e4, tied, "gpt-2", plain, gemma2},
    {"gemma-2-9b", "gemma2", 42, 3584, 16, 8, 256, 14336, 256000, 8192, 1e4, tied, "gpt-2", plain, gemma2},
    {"gemma-2-27b", "gemma2", 46, 4608, 32, 16, 128, 36864, 256000, 8192, 1e4, tied, "gpt-2", plain, gemma2},
    {"gemma-3-1b", "gemma3", 26, 1152, 4, 1, 256, 6912, 262144, 32768, 1e6, tied, "gpt-2", plain, gemma3_small},
    {"gemma-3-4b", "gemma3", 34, 2560, 8, 4, 256, 10240, 262144, 131072, 1e6, tied, "gpt-2", plain, gemma3},
    {"gemma-3-12b", "gemma3", 48, 3840, 16, 8, 256, 15360, 262144, 131072, 1e6, tied, "gpt-2", plain, gemma3},
    {"gemma-3-27b", "gemma3", 62, 5376, 32, 16, 128, 21504, 262144, 131072, 1e6, tied, "gpt-2", plain, gemma3},
    {"gpt-oss-20b", "gpt-oss", 24, 2880, 64, 8, 64, 2880, 201088, 131072, 1.5e5, own, "gpt-4o", plain, gpt_oss_20b},
    {"gpt-oss-120b", "gpt-oss", 36, 2880, 64, 8, 64, 2880, 201088, 131072, 1.5e5, own, "gpt-4o", plain, gpt_oss_120b},
};
// clang-format on

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

nibble::RopeConfig rope_of(const Preset& preset) {
  nibble::RopeConfig rope;
  rope.dim = preset.head_dim;
  rope.base = preset.rope_base;
  if (preset.stretch == Stretch::llama3_by_8 || preset.stretch == Stretch::llama3_by_32) {
    rope.scaling = nibble::RopeScaling::llama3;
    rope.factor = preset.stretch == Stretch::llama3_by_8 ? 8 : 32;
  }
  return rope;
}

nibble::Metadata metadata_of(const Preset& preset) {
  nibble::Config config;
  config.architecture = preset.architecture;
  // Without hyphens: some readers expect certain tokens of models with certain names.
  config.name = std::string(preset.name) + " (random weights)";
  std::replace(config.name.begin(), config.name.end(), '-', ' ');
  config.n_layers = preset.n_layers;
  config.embed_dim = preset.embed_dim;
  config.n_heads = preset.n_heads;
  config.n_kv_heads = preset.n_kv_heads;
  config.head_dim = preset.head_dim;
  config.ffn_dim = preset.ffn_dim;
  config.vocab_size = preset.vocab_size;
  config.context_length = preset.context_length;
  config.norm_eps = norm_eps;
  config.rope = rope_of(preset);
  nibble::Metadata metadata = gguf_keys(config);
  for (const Extra& extra : preset.extras) {
    const std::string key = config.architecture + "." + std::string(extra.key);
    if (const auto* text = std::get_if<std::string_view>(&extra.value)) metadata.set(key, std::string(*text));
    if (const auto* number = std::get_if<double>(&extra.value)) metadata.set(key, *number);
    if (const auto* count = std::get_if<std::int64_t>(&extra.value)) metadata.set(key, *count);
  }
  add_vocabulary(preset, metadata);
  return metadata;
}

}  // namespace cli
