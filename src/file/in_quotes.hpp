// Bytes of a file as they may appear in an error message: short, quoted, printable.
// Private to the file stage.
#pragma once

#include <string>
#include <string_view>

namespace nibble::inline v0 {

// At most 48 bytes of `text` in quotes; whatever is not printable ASCII becomes \xHH.
std::string in_quotes(std::string_view text);

}  // namespace nibble::inline v0
