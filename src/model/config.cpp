// Reading hyperparameters by either container's key, with every range checked where the value is read.
// First step of the model stage.
#include "nibble/model/config.hpp"

#include <cmath>
#include <utility>

namespace nibble::inline v0 {

namespace {

constexpr Key n_layers{"block_count", "num_hidden_layers"};
constexpr Key embed_dim{"embedding_length", "hidden_size"};
constexpr Key n_heads{"attention.head_count", "num_attention_heads"};
constexpr Key n_kv_heads{"attention.head_count_kv", "num_key_value_heads"};
constexpr Key head_dim{"attention.key_length", "head_dim"};
constexpr Key value_dim{"attention.value_length", "head_dim"};
constexpr Key ffn_dim{"feed_forward_length", "intermediate_size"};
constexpr Key vocab_size{"vocab_size", "vocab_size"};
constexpr Key context_length{"context_length", "max_position_embeddings"};
constexpr Key norm_eps{"attention.layer_norm_rms_epsilon", "rms_norm_eps"};
constexpr Key rope_dim{"rope.dimension_count", ""};
constexpr Key rope_base{"rope.freq_base", "rope_theta"};

constexpr Key experts_used{"expert_used_count", "num_experts_per_tok"};
constexpr Key expert_ffn_dim{"expert_feed_forward_length", "moe_intermediate_size"};

constexpr std::uint64_t max_width = 1u << 30;
constexpr std::uint32_t max_experts = 1u << 16;

}  // namespace

std::string ConfigReader::name(Key key) const {
  return is_gguf() ? architecture_ + "." + std::string(key.gguf) : std::string(key.hf);
}

bool ConfigReader::has(Key key) const {
  return !(is_gguf() ? key.gguf : key.hf).empty() && checkpoint_.metadata.has(name(key));
}

Error ConfigReader::error(ErrorCode code, Key key, std::string found, std::string allowed) const {
  return checkpoint_.metadata.error(code, name(key), std::move(found), std::move(allowed));
}

std::uint32_t ConfigReader::count(Key key, std::uint32_t absent) const {
  if (!has(key)) return absent;
  const std::uint64_t value = checkpoint_.metadata.count(name(key));
  if (value > 0x7fff'ffff)
    throw error(ErrorCode::out_of_range, key, std::to_string(value), "at most 2147483647");
  return static_cast<std::uint32_t>(value);
}

std::uint32_t ConfigReader::positive(Key key, std::uint32_t absent) const {
  const std::uint32_t value = count(key, absent);
  if (value == 0) throw error(ErrorCode::out_of_range, key, "0", "at least 1");
  return value;
}

std::uint32_t ConfigReader::positive(Key key) const {
  if (!has(key)) throw error(ErrorCode::missing, key, "", "a positive integer");
  return positive(key, 0);
}

double ConfigReader::positive_number(Key key, double absent) const {
  if (!has(key)) return absent;
  const double value = checkpoint_.metadata.number(name(key));
  if (!std::isfinite(value) || value <= 0) {
    throw error(ErrorCode::out_of_range, key, std::to_string(value), "a finite number above 0");
  }
  return value;
}

double ConfigReader::positive_number(Key key) const {
  if (!has(key)) throw error(ErrorCode::missing, key, "", "a number");
  return positive_number(key, 0);
}

std::string ConfigReader::text(Key key, std::string_view absent) const {
  return has(key) ? checkpoint_.metadata.text(name(key)) : std::string(absent);
}

bool ConfigReader::flag(Key key, bool absent) const {
  return has(key) ? checkpoint_.metadata.flag(name(key), absent) : absent;
}

void ConfigReader::demand_text(Key key, std::string_view value) const {
  if (const std::string found = text(key, value); found != value)
    throw error(ErrorCode::unsupported, key, "'" + found + "'", std::string(value));
}

void ConfigReader::demand_flag(Key key, bool value) const {
  if (flag(key, value) != value)
    throw error(ErrorCode::unsupported, key, value ? "false" : "true", value ? "true" : "false");
}

Config ConfigReader::common() const {
  Config c;
  c.architecture = architecture_;
  c.name = checkpoint_.metadata.text(is_gguf() ? "general.name" : "_name_or_path", "");
  c.n_layers = positive(n_layers);
  if (c.n_layers > limits_.layers) {
    throw error(ErrorCode::limit, n_layers, std::to_string(c.n_layers),
                "at most " + std::to_string(limits_.layers));
  }
  c.embed_dim = positive(embed_dim);
  c.n_heads = positive(n_heads);
  c.n_kv_heads = positive(n_kv_heads, c.n_heads);
  if (c.n_heads % c.n_kv_heads != 0) {
    throw error(ErrorCode::out_of_range, n_kv_heads, std::to_string(c.n_kv_heads),
                "a divisor of the " + std::to_string(c.n_heads) + " heads");
  }
  if (!has(head_dim) && c.embed_dim % c.n_heads != 0) {
    throw error(ErrorCode::out_of_range, n_heads, std::to_string(c.n_heads),
                "a divisor of the width " + std::to_string(c.embed_dim) + ", or an explicit head size");
  }
  c.head_dim = positive(head_dim, std::max(1u, c.embed_dim / c.n_heads));
  if (positive(value_dim, c.head_dim) != c.head_dim) {
    throw error(ErrorCode::unsupported, value_dim, std::to_string(positive(value_dim)),
                "the key length " + std::to_string(c.head_dim));
  }
  c.ffn_dim = positive(ffn_dim);
  // Widths of the plan's buffers are 32-bit.
  for (const auto& [key, width] : {std::pair{n_heads, std::uint64_t{c.n_heads} * c.head_dim},
                                   std::pair{ffn_dim, std::uint64_t{c.ffn_dim}}}) {
    if (width > max_width) {
      throw error(ErrorCode::out_of_range, key, std::to_string(width),
                  "at most " + std::to_string(max_width));
    }
  }
  const auto* tokens = is_gguf() ? checkpoint_.metadata.texts("tokenizer.ggml.tokens") : nullptr;
  c.vocab_size = tokens != nullptr ? positive(vocab_size, static_cast<std::uint32_t>(tokens->size()))
                                   : positive(vocab_size);
  if (c.vocab_size > limits_.vocabulary) {
    throw error(ErrorCode::limit, vocab_size, std::to_string(c.vocab_size),
                "at most " + std::to_string(limits_.vocabulary));
  }
  c.context_length = positive(context_length);
  if (c.context_length > limits_.context) {
    throw error(ErrorCode::limit, context_length, std::to_string(c.context_length),
                "at most " + std::to_string(limits_.context));
  }
  c.norm_eps = positive_number(norm_eps);
  read_rope(c);
  return c;
}

void ConfigReader::read_rope(Config& c) const {
  RopeConfig& r = c.rope;
  r.dim = positive(rope_dim, c.head_dim);
  if (r.dim % 2 != 0 || r.dim > c.head_dim) {
    throw error(ErrorCode::out_of_range, has(rope_dim) ? rope_dim : head_dim, std::to_string(r.dim),
                "an even number up to the head size " + std::to_string(c.head_dim));
  }
  // transformers 5 moved the base and the scaling into one object.
  const bool grouped = !is_gguf() && has({"", "rope_parameters.rope_type"});
  const std::string group = grouped ? "rope_parameters." : "rope_scaling.";
  const std::string theta = group + "rope_theta";
  r.base = positive_number(rope_base, positive_number({"", theta}, r.base));

  const std::string type_key = group + (has({"", group + "rope_type"}) ? "rope_type" : "type");
  const Key type{"rope.scaling.type", type_key};
  const std::string factor_key = group + "factor";
  const Key factor{has({"rope.scale_linear", ""}) ? "rope.scale_linear" : "rope.scaling.factor", factor_key};
  const std::string scaling = text(type, is_gguf() && has(factor) ? "linear" : "none");
  if (scaling == "none" || scaling == "default") return;
  if (scaling != "linear" && scaling != "llama3") {
    throw error(ErrorCode::unsupported, type, "'" + scaling + "'", "none, linear, llama3");
  }
  r.scaling = scaling == "linear" ? RopeScaling::linear : RopeScaling::llama3;
  // A GGUF file may name linear scaling and give no factor: no scaling.
  r.factor = is_gguf() ? positive_number(factor, 1.0) : positive_number(factor);
  if (r.scaling == RopeScaling::linear) return;
  const std::string low = group + "low_freq_factor", high = group + "high_freq_factor",
                    original = group + "original_max_position_embeddings";
  r.low_frequency_factor = positive_number({"", low});
  r.high_frequency_factor = positive_number({"", high});
  r.original_context = positive_number({"", original});
  if (r.high_frequency_factor <= r.low_frequency_factor) {
    throw error(ErrorCode::out_of_range, {"", high}, std::to_string(r.high_frequency_factor),
                "above the low frequency factor " + std::to_string(r.low_frequency_factor));
  }
}

void ConfigReader::experts(Config& c, Key count) const {
  c.n_experts = positive(count);
  c.n_experts_used = positive(experts_used);
  c.expert_ffn_dim = positive(expert_ffn_dim, c.ffn_dim);
  const auto at_most = [&](Key key, std::uint64_t found, std::uint64_t most) {
    if (found <= most) return;
    throw error(ErrorCode::out_of_range, key, std::to_string(found), "at most " + std::to_string(most));
  };
  at_most(count, c.n_experts, max_experts);
  at_most(experts_used, c.n_experts_used, c.n_experts);
  const std::uint64_t width = std::max({c.expert_ffn_dim, c.embed_dim});
  at_most(experts_used, c.n_experts_used * width, max_width);
}

}  // namespace nibble::inline v0
