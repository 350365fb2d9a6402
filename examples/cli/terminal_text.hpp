// A model's words on a terminal: control characters, which could drive it, are shown instead of obeyed.
// Between std::cout and a terminal only; files and pipes get every byte as it is.
#pragma once

#include <streambuf>

namespace cli {

// While it lives, what is written to std::cout goes through it, if stdout is a terminal. Line feeds and tabs
// pass; the other characters below U+0020 and U+007F become their pictures (U+241B for ESC), U+0080 to U+009F
// become U+FFFD.
class TerminalText : public std::streambuf {
 public:
  TerminalText();
  TerminalText(const TerminalText&) = delete;
  TerminalText& operator=(const TerminalText&) = delete;
  ~TerminalText() override;

 protected:
  std::streamsize xsputn(const char* bytes, std::streamsize n) override;
  int_type overflow(int_type byte) override;
  int sync() override;

 private:
  std::streambuf* terminal_ = nullptr;  // null: stdout is none
  bool after_c2_ = false;               // which begins U+0080 to U+00BF and waits for its second byte
};

}  // namespace cli
