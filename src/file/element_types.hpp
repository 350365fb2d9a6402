// How many bytes the elements of every known GGUF tensor type take, whether or not this build decodes it.
// Private to the file stage: files with tensors that nobody asks for must still load.
#pragma once

#include <cstdint>
#include <optional>

#include "nibble/core/dtype.hpp"
#include "nibble/core/tensor.hpp"

namespace nibble::inline v0 {

struct ElementSize {
  std::uint32_t block = 1;  // elements per block
  std::uint32_t bytes = 0;  // of one block
};

// Nothing for numbers that are unknown, withdrawn, or whose layout has changed between releases.
std::optional<ElementSize> element_size(Dtype dtype) noexcept;

// Bytes of a tensor whose columns are whole blocks, or nothing where 63 bits do not hold them or their count.
std::optional<std::uint64_t> tensor_bytes(const Shape& shape, ElementSize size) noexcept;

}  // namespace nibble::inline v0
