// The shapes of published models, for `nibble synth`.
// Numbers as in their config.json; one line each.
#pragma once

#include <string>
#include <string_view>

#include "nibble/file/metadata.hpp"
#include "nibble/model/config.hpp"

namespace cli {

struct Preset {
  std::string_view name;
  std::string_view architecture;
  std::uint32_t n_layers, embed_dim, n_heads, n_kv_heads, head_dim, ffn_dim, vocab_size, context_length;
  double rope_base;
  double llama3_factor;  // 0: no RoPE scaling
  bool tied;             // the embedding serves as the output matrix
  std::string_view pre_tokenizer;
};

// Failure(usage) with all names for any other.
const Preset& find_preset(const std::string& name);
std::string preset_names();

nibble::Config config_of(const Preset& preset);
// Hyperparameters, and a vocabulary of the right size: byte-level BPE with the 256 bytes, made-up words and
// two control tokens.
nibble::Metadata metadata_of(const Preset& preset);

}  // namespace cli
