// Shapes as text, for messages.
// Used by every stage.
#include "nibble/core/shape.hpp"

namespace nibble::inline v0 {

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace nibble::inline v0
