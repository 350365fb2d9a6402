// A model file of a published model's shapes with random weights, for measuring speed.
// Written by `nibble synth`, and by `nibble bench --synthetic` for the length of its run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "nibble/core/watch.hpp"

namespace cli {

struct Synthetic {
  std::string preset, type;
  std::uint32_t layers = 0;  // at most; 0: the preset's
  std::uint64_t seed = 1;
  std::uint32_t threads = 0;  // that make it; 0: one per CPU
};

// Returns the number of tensors. Failure(usage) for an unknown preset or type; errors: those of write_gguf.
std::size_t write_synthetic(const Synthetic& model, const std::filesystem::path& path,
                            const std::stop_token& stop);

}  // namespace cli
