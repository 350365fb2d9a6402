// A model's hyperparameters, read from either container's metadata by its architecture and checked once.
// Start of the model stage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nibble::inline v0 {

enum class RopeScaling { none, linear, llama3 };

// Rotary position embedding: dims rotated, base, and how long contexts stretch it.
struct RopeConfig {
  std::uint32_t dim = 0;  // rotated dims of each head, even, <= head_dim
  double base = 10'000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                 // linear, llama3
  double low_frequency_factor = 1.0;   // llama3
  double high_frequency_factor = 4.0;  // llama3
  double original_context = 8'192.0;   // llama3, positions
};

struct Config {
  std::string architecture;
  std::string name;  // general.name, may be empty
  std::uint32_t n_layers = 0;
  std::uint32_t embed_dim = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;  // divides n_heads
  std::uint32_t head_dim = 0;
  std::uint32_t ffn_dim = 0;
  std::uint32_t vocab_size = 0;      // rows of the output matrix; may exceed the tokenizer's count
  std::uint32_t context_length = 0;  // positions the model was trained for
  std::uint32_t window = 0;          // keys a query sees, itself included; 0: all
  double norm_eps = 0;
  RopeConfig rope;
};

}  // namespace nibble::inline v0
