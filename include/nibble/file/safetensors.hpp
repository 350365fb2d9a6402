// safetensors: reading one file's header into tensors.
// One of the two containers behind file/checkpoint.hpp; config.json beside it supplies the metadata.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/file/byte_source.hpp"

namespace nibble::inline v0 {

// Dtypes that GGUF has no number for (BOOL, U8, F8_E4M3, ...) get numbers from here on; no format answers to
// them, so that such a tensor loads but cannot be a weight.
inline constexpr std::uint32_t first_foreign_dtype = 0x10000;

// The format's own name of a dtype, "I32"; empty where it has none.
NIBBLE_API std::string_view safetensors_name(Dtype dtype) noexcept;

// The tensors of one file in order of their offsets; their bytes point into `source` and may be unaligned.
// Errors: truncated (a header or a tensor past the end), malformed (JSON; a gap, an overlap, trailing bytes,
// part of a byte), duplicate, missing, wrong_type, out_of_range, shape_mismatch (a range that is not shape
// times dtype), unsupported (an unknown dtype, more than 4 dimensions), limit. The position is a byte for the
// header's length, JSON syntax and trailing bytes, and a JSON pointer in the header for all else:
// "/model.norm.weight/data_offsets".
NIBBLE_API std::vector<Tensor> parse_safetensors(const ByteSource& source, const Limits& limits = {});

}  // namespace nibble::inline v0
