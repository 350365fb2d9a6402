// safetensors: reading one file's header into tensors.
// One of the two containers behind file/checkpoint.hpp; config.json beside it supplies the metadata.
#pragma once

#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/file/byte_source.hpp"

namespace nibble::inline v0 {

// The tensors of one file in order of their offsets; their bytes point into `source` and may be unaligned.
// Errors: truncated, malformed, duplicate, unsupported (a dtype no GGUF number stands for), limit,
// shape_mismatch; position is a byte offset (header length, JSON syntax) or a JSON pointer (contents).
NIBBLE_API std::vector<Tensor> parse_safetensors(const ByteSource& source, const Limits& limits = {});

}  // namespace nibble::inline v0
