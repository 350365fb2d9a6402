// A model to be written again: its tensors under their GGUF names, its metadata under GGUF keys, whichever
// container it came in. Opened by `nibble quantize`.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "nibble/file/checkpoint.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/model/weights.hpp"

namespace cli {

struct SourceTensor {
  std::string name;
  nibble::Shape shape;
  std::vector<const nibble::Tensor*> parts;           // of one type; more than one: experts, stacked
  const std::vector<std::uint32_t>* order = nullptr;  // Weight::order
};

struct SourceModel {
  nibble::Checkpoint checkpoint;
  std::optional<nibble::Weights> weights;  // of a Hugging Face folder: where its tensors are
  nibble::Metadata metadata;
  std::vector<SourceTensor> tensors;     // in the order of the files
  std::vector<nibble::GgufTensor> made;  // what GGUF has as tensors and config.json as numbers
};

// Failure(bad_model) with the library's message for what cannot be opened.
SourceModel open_source(const std::string& path, const std::stop_token& stop);

}  // namespace cli
