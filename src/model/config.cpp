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
constexpr Key experts_used{"expert_used_count", "num_experts_per_tok"};
constexpr Key expert_ffn_dim{"expert_feed_forward_length", "moe_intermediate_size"};

constexpr std::uint64_t max_width = 1u << 30;
constexpr std::uint32_t max_experts = 1u << 16;

}  // namespace

std::string ConfigReader::name(Key key) const {
  if (is_gguf()) return architecture_ + "." + std::string(key.gguf);
  // A model of text and images keeps its text part's keys apart.
  std::string nested = "text_config." + std::string(key.hf);
  return checkpoint_.metadata.has(nested) ? nested : std::string(key.hf);
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

Config ConfigReader::common(const Config& absent) const {
  const auto required = [&](Key key, std::uint32_t stand_in) {
    return stand_in != 0 && !is_gguf() ? positive(key, stand_in) : positive(key);
  };
  Config c;
  c.architecture = architecture_;
  c.name = checkpoint_.metadata.text(is_gguf() ? "general.name" : "_name_or_path", "");
  c.n_layers = required(n_layers, absent.n_layers);
  if (c.n_layers > limits_.layers) {
    throw error(ErrorCode::limit, n_layers, std::to_string(c.n_layers),
                "at most " + std::to_string(limits_.layers));
  }
  c.embed_dim = required(embed_dim, absent.embed_dim);
  c.n_heads = required(n_heads, absent.n_heads);
  c.n_kv_heads = positive(n_kv_heads, !is_gguf() && absent.n_kv_heads != 0 ? absent.n_kv_heads : c.n_heads);
  if (c.n_heads % c.n_kv_heads != 0) {
    throw error(ErrorCode::out_of_range, n_kv_heads, std::to_string(c.n_kv_heads),
                "a divisor of the " + std::to_string(c.n_heads) + " heads");
  }
  const bool known_head = has(head_dim) || (!is_gguf() && absent.head_dim != 0);
  if (!known_head && c.embed_dim % c.n_heads != 0) {
    throw error(ErrorCode::out_of_range, n_heads, std::to_string(c.n_heads),
                "a divisor of the width " + std::to_string(c.embed_dim) + ", or an explicit head size");
  }
  c.head_dim = known_head ? required(head_dim, absent.head_dim) : c.embed_dim / c.n_heads;
  if (positive(value_dim, c.head_dim) != c.head_dim) {
    throw error(ErrorCode::unsupported, value_dim, std::to_string(positive(value_dim)),
                "the key length " + std::to_string(c.head_dim));
  }
  c.ffn_dim = required(ffn_dim, absent.ffn_dim);
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
                                   : required(vocab_size, absent.vocab_size);
  if (c.vocab_size > limits_.vocabulary) {
    throw error(ErrorCode::limit, vocab_size, std::to_string(c.vocab_size),
                "at most " + std::to_string(limits_.vocabulary));
  }
  c.context_length = required(context_length, absent.context_length);
  if (c.context_length > limits_.context) {
    throw error(ErrorCode::limit, context_length, std::to_string(c.context_length),
                "at most " + std::to_string(limits_.context));
  }
  c.norm_eps = absent.norm_eps != 0 && !is_gguf() ? positive_number(norm_eps, absent.norm_eps)
                                                  : positive_number(norm_eps);
  c.rope = read_rope(c, is_gguf() ? 10'000.0 : absent.rope.base);
  return c;
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
  const std::uint64_t width = std::max(c.expert_ffn_dim, c.embed_dim);
  at_most(experts_used, c.n_experts_used * width, max_width);
}

}  // namespace nibble::inline v0
