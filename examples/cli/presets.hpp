// The shapes of published models, for `nibble synth` and `nibble bench --synthetic`.
// The table is in presets.cpp; what becomes of a preset in synthetic.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "nibble/file/metadata.hpp"
#include "nibble/model/config.hpp"

namespace cli {

// How positions are stretched where GGUF says it in tensors.
enum class Stretch { none, llama3_by_8, llama3_by_32, longrope };

// A key that only some architectures have, behind its name.
struct Extra {
  std::string_view key;
  std::variant<std::int64_t, double, std::string_view> value;
};

struct Preset {
  std::string_view name;
  std::string_view architecture;
  std::uint32_t n_layers, embed_dim, n_heads, n_kv_heads, head_dim, ffn_dim, vocab_size, context_length;
  double rope_base;
  bool tied;  // the embedding serves as the output matrix
  std::string_view pre_tokenizer;
  Stretch stretch = Stretch::none;
  std::span<const Extra> extras = {};
};

// Failure(usage) with all names for any other.
const Preset& find_preset(const std::string& name);
std::string preset_names();

// Hyperparameters, and a vocabulary of the right size: byte-level BPE with the 256 bytes, made-up words and
// two control tokens.
nibble::Metadata metadata_of(const Preset& preset);

// What stretches positions: llama3's, if any.
nibble::RopeConfig rope_of(const Preset& preset);

}  // namespace cli
