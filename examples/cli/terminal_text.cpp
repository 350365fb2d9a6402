// Rewriting bytes on their way to the terminal.
// See terminal_text.hpp.
#include "terminal_text.hpp"

#include <unistd.h>

#include <iostream>
#include <string>

#include "terminal.hpp"

namespace cli {

TerminalText::TerminalText() {
  if (is_terminal(STDOUT_FILENO)) terminal_ = std::cout.rdbuf(this);
}

TerminalText::~TerminalText() {
  if (terminal_ != nullptr) std::cout.rdbuf(terminal_);
}

std::streamsize TerminalText::xsputn(const char* bytes, std::streamsize n) {
  std::string shown;
  for (std::streamsize i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const bool is_control = after_c2_ && byte >= 0x80 && byte < 0xa0;
    if (after_c2_ && !is_control) shown += '\xc2';
    after_c2_ = byte == 0xc2;
    if (is_control) {
      shown += "\xef\xbf\xbd";
    } else if (byte == 0x7f) {
      shown += "\xe2\x90\xa1";
    } else if (byte < 0x20 && byte != '\n' && byte != '\t') {
      shown.append("\xe2\x90").append(1, static_cast<char>(0x80 + byte));
    } else if (!after_c2_) {
      shown += bytes[i];
    }
  }
  const auto size = static_cast<std::streamsize>(shown.size());
  return terminal_->sputn(shown.data(), size) == size ? n : 0;
}

TerminalText::int_type TerminalText::overflow(int_type byte) {
  if (traits_type::eq_int_type(byte, traits_type::eof())) return traits_type::not_eof(byte);
  const char c = traits_type::to_char_type(byte);
  return xsputn(&c, 1) == 1 ? byte : traits_type::eof();
}

int TerminalText::sync() { return terminal_->pubsync(); }

}  // namespace cli
