// Which tensor of a model gets which block format: the mixes that quantised models come in, as data.
// Used by `nibble quantize` and `nibble synth`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nibble/core/shape.hpp"
#include "nibble/file/metadata.hpp"
#include "nibble/quant/format.hpp"

namespace cli {

struct Mix;

// What the rules ask about a model.
struct ModelFacts {
  std::uint32_t n_layers = 0;
  std::uint32_t n_heads = 1;
  std::uint32_t n_kv_heads = 1;
  std::uint32_t n_experts = 0;
  bool tied = false;        // no output matrix: the embedding serves as one
  bool importance = false;  // it is known which columns matter
};

// From GGUF metadata; the flags are for the caller to set.
ModelFacts read_facts(const nibble::Metadata& metadata);

// "Q4_K_M", any case. Failure(usage) with all names for any other.
const Mix& find_mix(const std::string& name);
std::string mix_names();                           // "F32, F16, ..."
std::uint32_t file_type(const Mix& mix) noexcept;  // general.file_type

// The format of one tensor, by its GGUF name.
const nibble::Format& choose_format(const Mix& mix, const ModelFacts& facts, std::string_view tensor,
                                    const nibble::Shape& shape);

}  // namespace cli
