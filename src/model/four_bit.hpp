// GPTQ and AWQ: a linear layer stored as qweight, qzeros, scales and perhaps g_idx, made a matrix of blocks.
// Between the tensors of a Hugging Face folder and Weights::resolve, which asks where a matrix is absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "nibble/file/checkpoint.hpp"
#include "nibble/model/weights.hpp"

namespace nibble::inline v0 {

// How a folder's linear layers are quantised.
struct FourBit {
  enum class Method : std::uint8_t { none, gptq, awq };
  Method method = Method::none;
  std::uint64_t group_size = 0;   // inputs that share a scale; 0: all of them
  std::uint32_t zero_offset = 0;  // to be added to a stored zero
};

// From config.json's quantization_config (of an older folder: quantize_config.json). Errors: unsupported (a
// method, width or layout that this build does not know), out_of_range (a group that is no multiple of 32),
// missing, wrong_type.
FourBit read_four_bit(const Metadata& config);

// The matrix of `name` ("....weight") from the parts beside it, as blocks of Q4_0 where all zeros are 8, else
// of Z4: exactly scale * (code - zero). Groups that are not in order (act-order) are sorted, and `order` says
// how. Nothing where there is no qweight. Errors: missing (a part), unsupported (its type; groups that are no
// whole blocks), shape_mismatch, out_of_range (g_idx).
std::optional<Weight> find_four_bit(const Checkpoint& checkpoint, const FourBit& settings,
                                    std::string_view name);

}  // namespace nibble::inline v0
