// Stop texts: found wherever the stream is cut, and never handed out even in part.
#include "src/session/stop_texts.hpp"

#include "support/catch.hpp"
#include "support/thrown.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

using Texts = std::vector<std::string>;

// What comes out of `text`, cut into pieces of `n` bytes.
std::string passed(const Texts& texts, std::string_view text, std::size_t n) {
  StopTexts stops(texts, {});
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += n) out += stops.push(text.substr(i, n));
  return out + stops.finish();
}

}  // namespace

TEST_CASE("text ends before the first stop text, however the stream is cut") {
  struct Case {
    Texts stops;
    std::string text, out;
  };
  const std::vector<Case> cases{
      {{}, "all of it", "all of it"},
      {{"x"}, "all of it", "all of it"},
      {{"END"}, "the END is here", "the "},
      {{"END"}, "EN, ENDE", "EN, "},
      {{"END"}, "EENEND", "EEN"},
      {{"END"}, "almost EN", "almost EN"},
      {{"aab"}, "aaaab", "aa"},
      {{"abab"}, "abaabab!", "aba"},
      {{"\n\n", "User:"}, "one\ntwo\nUser: three", "one\ntwo\n"},
      {{"\u00fcber"}, "dar\u00fcber", "dar"},
  };
  for (const Case& c : cases) {
    for (std::size_t n = 1; n <= c.text.size(); ++n) {
      CAPTURE(c.text, n);
      CHECK(passed(c.stops, c.text, n) == c.out);
    }
  }
}

TEST_CASE("only what may begin a stop text waits") {
  const Texts texts{"<end>", "halt"};
  StopTexts stops(texts, {});
  CHECK(stops.push("a < b") == "a < b");
  CHECK(stops.push("c <e") == "c ");
  CHECK(stops.push("nd") == "");
  CHECK(stops.push("ing") == "<ending");
  CHECK(stops.push("h") == "");
  CHECK(stops.push("alt and more") == "");
  CHECK(stops.matched());
  CHECK(stops.push("again") == "");
  CHECK(stops.finish() == "");
}

TEST_CASE("malformed 91: stop texts outside limits are refused") {
  const Limits limits;
  const auto refused = [&](const Texts& texts) { return thrown([&] { StopTexts(texts, limits); }); };
  CHECK(refused({""}).code() == ErrorCode::invalid_argument);
  CHECK(refused({"fine", "\xff"}).code() == ErrorCode::invalid_argument);
  CHECK(refused(Texts(65, "x")).code() == ErrorCode::limit);
  CHECK(refused({std::string(1025, 'x')}).code() == ErrorCode::limit);
  CHECK(refused({""}).field() == "stop");
  CHECK_NOTHROW(StopTexts(Texts(64, std::string(1024, 'x')), limits));
}
