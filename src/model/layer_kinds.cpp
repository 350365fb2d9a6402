// Which layers are of which kind: with a window or without, with positions or without.
// Part of reading hyperparameters, beside config.cpp.
#include <variant>

#include "nibble/model/config.hpp"

namespace nibble::inline v0 {

std::vector<bool> ConfigReader::layer_flags(Key key, std::uint32_t n_layers) const {
  if (!has(key)) return {};
  const Metadata& metadata = checkpoint_.metadata;
  std::vector<bool> flags;
  if (std::holds_alternative<std::vector<bool>>(metadata.find(name(key))->value)) {
    flags = *metadata.flags(name(key));
  } else {
    for (const std::int64_t value : *metadata.integers(name(key))) {
      if (value != 0 && value != 1)
        throw error(ErrorCode::out_of_range, key, std::to_string(value), "0 or 1 for each layer");
      flags.push_back(value == 1);
    }
  }
  if (flags.size() < n_layers)
    throw error(ErrorCode::shape_mismatch, key, std::to_string(flags.size()) + " layers",
                std::to_string(n_layers));
  flags.resize(n_layers);
  return flags;
}

std::vector<bool> ConfigReader::global_layers(std::uint32_t n_layers, std::vector<bool> absent) const {
  const Key types{"", "layer_types"};
  const Key pattern{"attention.sliding_window_pattern", "sliding_window_pattern"};
  const Metadata& metadata = checkpoint_.metadata;
  if (has(types)) {
    std::vector<bool> global;
    for (const std::string& type : *metadata.texts(name(types))) {
      if (type != "full_attention" && type != "sliding_attention")
        throw error(ErrorCode::unsupported, types, "'" + type + "'", "full_attention, sliding_attention");
      global.push_back(type == "full_attention");
    }
    if (global.size() != n_layers)
      throw error(ErrorCode::shape_mismatch, types, std::to_string(global.size()) + " layers",
                  std::to_string(n_layers));
    return global;
  }
  if (!has(pattern)) return absent;
  if (std::holds_alternative<std::int64_t>(metadata.find(name(pattern))->value))
    return every_nth(positive(pattern), n_layers);
  std::vector<bool> global = layer_flags(pattern, n_layers);  // true: with a window
  global.flip();
  return global;
}

std::vector<bool> every_nth(std::uint32_t n, std::uint32_t n_layers) {
  std::vector<bool> layers(n_layers);
  for (std::uint32_t i = 0; i < n_layers; ++i) layers[i] = (i + 1) % n == 0;
  return layers;
}

}  // namespace nibble::inline v0
