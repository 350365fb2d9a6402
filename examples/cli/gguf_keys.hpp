// A model's hyperparameters as GGUF has them: keys, and the tensors that stand for RoPE scaling.
// Used by `nibble quantize` for folders and by `nibble synth` for presets.
#pragma once

#include <string>
#include <vector>

#include "nibble/file/gguf.hpp"
#include "nibble/file/metadata.hpp"
#include "nibble/model/config.hpp"

namespace cli {

nibble::Metadata gguf_keys(const nibble::Config& config);

// What the keys of a model say, read by its architecture. Errors: as when a file is opened.
nibble::Config read_keys(const nibble::Metadata& metadata);

// What gguf_keys has no words for, or nothing: such a model would not compute the same from GGUF.
std::string first_untold(const nibble::Config& config);

// rope_freqs where scaling is llama3's, rope_factors_* where it is longrope; none where keys say it all.
std::vector<nibble::GgufTensor> rope_tensors(const nibble::RopeConfig& rope);

// An F32 vector.
nibble::GgufTensor make_vector(std::string name, std::vector<float> values);

}  // namespace cli
