// Quoting hostile bytes for messages.
// Private to the file stage.
#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 48;
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      result += c;
    } else {
      result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result + (text.size() > most ? "...\"" : "\"");
}

}  // namespace nibble::inline v0
