// Streaming decode: bytes are held back until they are whole characters.
// End of the flow: generated tokens leave through it.
#include "nibble/text/tokenizer.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

TextStream::TextStream(Tokenizer tokenizer, bool show_special)
    : tokenizer_(std::move(tokenizer)), show_special_(show_special) {}

void TextStream::reset(bool continues) {
  at_start_ = !continues;
  held_.clear();
}

std::string TextStream::push(TokenId id) {
  return translate_errors([&] {
    std::string bytes = tokenizer_.bytes(id, show_special_);
    if (bytes.empty()) return bytes;
    // Added tokens got no space of encode()'s: what they start with is theirs.
    const bool may_be_prefixed = at_start_ && tokenizer_.adds_space_prefix() && bytes.front() == ' ';
    if (may_be_prefixed && tokenizer_.kind(id) == TokenKind::normal) bytes.erase(0, 1);
    std::string text = held_ + bytes;
    std::string rest = text.substr(complete_utf8(text));
    text.resize(text.size() - rest.size());
    std::string whole = repair_utf8(text);
    at_start_ = false;
    held_ = std::move(rest);
    return whole;
  });
}

std::string TextStream::finish() {
  return translate_errors([&] {
    std::string rest = repair_utf8(held_);
    held_.clear();
    return rest;
  });
}

}  // namespace nibble::inline v0
