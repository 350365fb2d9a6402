// The caps on what a file or a caller may ask for, all adjustable, checked before anything is allocated.
// Read by every parser; the defaults admit every published model this library runs.
#pragma once

#include <cstdint>

namespace nibble::inline v0 {

struct Limits {
  std::uint64_t metadata_entries = 65'536;
  std::uint64_t tensors = 131'072;
  std::uint64_t tensor_name_bytes = 1'024;
  std::uint64_t string_bytes = 16ull << 20;   // one metadata string
  std::uint64_t array_elements = 1ull << 26;  // one metadata array
  std::uint64_t alignment = 64ull << 10;      // bytes
  std::uint64_t dimension = 1ull << 40;       // one extent of a tensor
  std::uint64_t json_bytes = 100'000'000;     // one JSON text or safetensors header
  std::uint32_t json_depth = 128;
  std::uint32_t shards = 1'024;
  std::uint32_t layers = 1'024;
  std::uint32_t vocabulary = 4u << 20;        // tokens
  std::uint64_t text_bytes = 64ull << 20;     // one text to tokenise
  std::uint32_t pattern_bytes = 64u << 10;    // one pre-tokeniser pattern
  std::uint32_t context = 1u << 24;           // positions of one sequence
  std::uint32_t sequences = 4'096;            // of one engine
  std::uint32_t stop_texts = 64;              // of one generation
  std::uint32_t stop_text_bytes = 1'024;      // one of them
  std::uint32_t template_bytes = 1u << 20;    // one chat template
  std::uint32_t template_depth = 128;         // nesting of its tags and brackets, which count twice each
  std::uint32_t template_levels = 256;        // under way at one moment while it renders, macros included
  std::uint64_t template_steps = 5'000'000;   // of one rendering; 64 bytes made or searched are one, too
  std::uint64_t template_output = 16u << 20;  // characters of a rendered prompt
  std::uint64_t memory_bytes = ~0ull;         // budget of one engine
};

}  // namespace nibble::inline v0
