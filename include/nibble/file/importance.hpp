// Importance matrices: how much the inputs of each matrix weigh, so that quantising errs where it matters
// least. Read beside a model by `nibble quantize`; handed to a format's encode().
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/file/byte_source.hpp"

namespace nibble::inline v0 {

// By the matrix's GGUF name: mean squares of its inputs, (cols); of experts' matrices (experts, cols).
using Importance = std::map<std::string, std::vector<float>, std::less<>>;

// As llama.cpp's imatrix tool writes them: a GGUF file of sums and counts, or the older form without magic:
//   u32 entries, each: u32 length, name, u32 calls, u32 n, f32[n] sums; what follows is not read.
// Inputs that were never met weigh 1. Errors: those of parse_gguf; truncated, limit, duplicate, missing (no
// entry, sums without counts), malformed (a name), shape_mismatch, unsupported (other than F32), out_of_range
// (weights or counts that are negative or not finite).
NIBBLE_API Importance read_importance(const ByteSource& source, const Limits& limits = {});

}  // namespace nibble::inline v0
