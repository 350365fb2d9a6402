// UTF-8 checked, repaired and held back where it is incomplete.
#include "src/text/utf8.hpp"

#include <string>

#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace std::string_literals;

TEST_CASE("Every valid character of UTF-8 is accepted, decoded and written again") {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    append_utf8(text, c);
    const bool right =
        !find_invalid_utf8(text) && utf8_character(text, 0) == c && utf8_length(text[0]) == text.size();
    if (!right) FAIL("U+" << std::hex << static_cast<unsigned>(c));
  }
}

TEST_CASE("The first invalid byte is found") {
  const std::string ascii(100, 'x');
  CHECK(!find_invalid_utf8(ascii + "é世😀"));
  CHECK(find_invalid_utf8(ascii + "\x80") == 100u);    // a continuation alone
  CHECK(find_invalid_utf8("é\xC0\x80") == 2u);         // overlong
  CHECK(find_invalid_utf8("\xE0\x9F\xBF") == 0u);      // overlong
  CHECK(find_invalid_utf8("ab\xED\xA0\x80") == 2u);    // a surrogate
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0u);  // above U+10FFFF
  CHECK(find_invalid_utf8("x\xF5") == 1u);
  CHECK(find_invalid_utf8("abc\xE4\xB8") == 3u);  // cut short
}

TEST_CASE("Each maximal subpart of an invalid sequence becomes one U+FFFD") {
  // The examples of the Unicode standard, 3.9, tables 3-8 to 3-11.
  const std::string r = "\uFFFD";
  CHECK(repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") == r + r + r + r + r + r + r + r + "A");
  CHECK(repair_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") == r + r + r + r + r + r + r + r + "A");
  CHECK(repair_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") == r + r + r + r + r + "A" + r + r + "B");
  CHECK(repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == r + r + r + r + "A");
  CHECK(repair_utf8("\xF0\x9F\x98") == r);
  CHECK(repair_utf8("valid: é世😀") == "valid: é世😀");
}

TEST_CASE("Only a character that may still be completed is held back") {
  CHECK(complete_utf8("") == 0);
  CHECK(complete_utf8("abc") == 3);
  CHECK(complete_utf8("aé") == 3);
  CHECK(complete_utf8("a\xC3") == 1);
  CHECK(complete_utf8("a\xE4\xB8") == 1);
  CHECK(complete_utf8("a\xF0\x9F\x98") == 1);
  CHECK(complete_utf8("a\xF0\x9F\x98\x80") == 5);
  CHECK(complete_utf8("a\xE0\x80") == 3);  // can no longer become one
  CHECK(complete_utf8("a\x80\x80\x80\x80") == 5);
  CHECK(complete_utf8("\xFF") == 1);
}
