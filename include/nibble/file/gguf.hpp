// GGUF v2 and v3: reading a file into metadata and tensors, and writing one.
// One of the two containers behind file/checkpoint.hpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/core/tensor.hpp"
#include "nibble/file/byte_source.hpp"
#include "nibble/file/metadata.hpp"

namespace nibble::inline v0 {

struct Gguf {
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // bytes
  Metadata metadata;
  std::vector<Tensor> tensors;  // in file order; their bytes point into `source`
};

// Reads one file (one shard of a split model). Types this build has no format for are kept as long as their
// size is known. Errors, each at the first byte of the field to blame: bad_magic, unsupported (version, value
// type, array of arrays, tensor type), truncated (at the count, length or tensor offset that asks for more
// than there is), malformed (key or name, bool, rows that are no whole blocks, unaligned or overlapping
// tensors), duplicate (at the second key or name), out_of_range (dimensions; at the first one where their
// product overflows), wrong_type, limit. A metadata entry's position, also in errors about its value, is the
// first byte of its key.
NIBBLE_API Gguf parse_gguf(const ByteSource& source, const Limits& limits = {});

// A tensor to be written: its bytes are asked for when its turn comes, so that a model never has to be in
// memory whole.
struct GgufTensor {
  std::string name = {};
  Dtype dtype = Dtype::F32;
  Shape shape = {};
  // Fills exactly row_bytes * rows bytes.
  std::function<void(std::span<std::byte> out)> fill = {};
};

// Writes version 3 with `general.alignment` 32, to a temporary file beside `path` that replaces it only when
// complete. Integers are written in the narrowest of u32, i32, u64, i64 that holds them (arrays: i32, i64),
// numbers as f32. Errors: io (the temporary file is removed), unsupported (a dtype without format),
// cancelled.
NIBBLE_API void write_gguf(const std::filesystem::path& path, const Metadata& metadata,
                           std::span<const GgufTensor> tensors, const Watch& watch = {});

}  // namespace nibble::inline v0
