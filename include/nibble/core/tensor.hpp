// A named tensor as it lies in a file: type, shape and bytes, not owned.
// Made by the file stage, resolved into weights by the model stage.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "nibble/core/dtype.hpp"
#include "nibble/core/shape.hpp"

namespace nibble::inline v0 {

struct Tensor {
  std::string name = {};
  Dtype dtype = Dtype::F32;
  Shape shape = {};
  std::span<const std::byte> bytes = {};  // rows() * row bytes; valid as long as what it was read from
  std::string source = {};                // the file it lies in, for errors
  std::uint64_t offset = 0;               // of its first byte in that file, for errors
};

}  // namespace nibble::inline v0
