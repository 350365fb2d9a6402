// The element type of a tensor, numbered as in GGUF; an open set: each block format names its own number.
// Carried by tensors from the file to the backend; quant/formats.hpp knows what each number means.
#pragma once

#include <cstdint>

namespace nibble::inline v0 {

enum class Dtype : std::uint32_t {
  F32 = 0,
  F16 = 1,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  BF16 = 30,
};

}  // namespace nibble::inline v0
