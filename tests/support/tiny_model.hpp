// Writes tiny random models of the llama family as GGUF files, tokenizer included: a whole model in a
// millisecond. For every test that needs one to run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "nibble/core/dtype.hpp"
#include "nibble/file/metadata.hpp"
#include "nibble/model.hpp"

namespace nibble::test {

struct TinyModel {
  std::uint32_t layers = 2;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_dim = 16;
  std::uint32_t embed_dim = 64;
  std::uint32_t ffn_dim = 96;
  std::uint32_t context = 512;     // trained for
  std::uint32_t window = 0;        // 0: none
  std::uint32_t padding_rows = 0;  // of the vocabulary, beyond the tokenizer's
  Dtype dtype = Dtype::F32;        // of the matrices; block formats need dims that are multiples of 256
  bool mixed = false;              // each matrix of another format, through all of them, in place of dtype
  bool tied = false;               // the output matrix is the embedding
  bool byte_level = false;         // BPE over bytes; else SPM with byte fallback
  std::uint64_t seed = 1;

  // Shapes that every block format can hold.
  static TinyModel blocks(Dtype dtype);
  std::uint32_t vocabulary() const;  // rows of the embedding
};

// The metadata that write_tiny_model writes, for tests that change a key.
Metadata tiny_metadata(const TinyModel& model);
void write_tiny_model(const std::filesystem::path& path, const TinyModel& model, const Metadata& metadata);
void write_tiny_model(const std::filesystem::path& path, const TinyModel& model = {});
// Written to a temporary file, opened by copy, and the file gone again.
Model open_tiny_model(const TinyModel& model = {});

}  // namespace nibble::test
