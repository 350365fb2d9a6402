// Texts there and back again: at once, token by token, from several threads.
#include <thread>

#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/random_text.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;
using Ids = std::vector<TokenId>;

namespace {

std::vector<Tokenizer> tiny_tokenizers() {
  const test::TempFolder folder;
  return {Tokenizer::from_gguf(test::as_metadata(test::spm_keys())),
          Tokenizer::from_gguf(test::as_metadata(test::bpe_keys())),
          Tokenizer::from_json(folder.write("spm.json", test::spm_json().dump())),
          Tokenizer::from_json(folder.write("bpe.json", test::bpe_json().dump()))};
}

std::string streamed(const Tokenizer& tokenizer, const Ids& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const TokenId id : ids) {
    const std::string piece = stream.push(id);
    if (find_invalid_utf8(piece)) FAIL("a piece that is not UTF-8");
    text += piece;
  }
  return text += stream.finish();
}

}  // namespace

TEST_CASE("Every one of 100,000 random texts comes back, from each kind of tokenizer") {
  for (const Tokenizer& tokenizer : tiny_tokenizers()) {
    RandomText random(42);
    for (int i = 0; i < 100'000; ++i) {
      const std::string text = random.next();
      const Ids ids = tokenizer.encode(text);
      if (tokenizer.decode(ids) != text || streamed(tokenizer, ids) != text) FAIL("text: " << text);
    }
  }
}

TEST_CASE("Streaming any ids gives decode()'s text in whole characters") {
  for (const Tokenizer& tokenizer : tiny_tokenizers()) {
    std::mt19937 random(3);
    for (int i = 0; i < 5'000; ++i) {
      Ids ids(random() % 20);
      for (TokenId& id : ids) id = static_cast<TokenId>(random() % tokenizer.size());
      const std::string text = tokenizer.decode(ids);
      if (streamed(tokenizer, ids) != text || find_invalid_utf8(text)) FAIL("round " << i);
    }
  }
}

TEST_CASE("Half a character is held back, a broken one becomes U+FFFD") {
  const Tokenizer t = tiny_tokenizers().front();
  const auto byte = [](unsigned value) { return static_cast<TokenId>(3 + value); };
  const TokenId a = *t.find("a");
  TextStream stream(t);
  CHECK(stream.push(byte(0xF0)).empty());
  CHECK(stream.push(byte(0x9F)).empty());
  CHECK(stream.push(byte(0x98)).empty());
  CHECK(stream.push(byte(0x80)) == "😀");
  CHECK(stream.push(byte(0xE4)).empty());
  CHECK(stream.push(a) == "\uFFFDa");
  CHECK(stream.push(byte(0xFF)) == "\uFFFD");
  CHECK(stream.push(byte(0xC3)).empty());
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish().empty());
}

TEST_CASE("A stream that continues a text keeps its first space") {
  const Tokenizer t = tiny_tokenizers().front();
  const TokenId hello = *t.find("▁hello"), mark = *t.find("▁"), bos = 1;
  TextStream stream(t);
  CHECK(stream.push(bos).empty());
  CHECK(stream.push(hello) == "hello");
  CHECK(stream.push(hello) == " hello");
  stream.reset(false);
  CHECK(stream.push(mark).empty());
  CHECK(stream.push(hello) == " hello");
  stream.push(3 + 0xC3);
  stream.reset(true);
  CHECK(stream.push(hello) == " hello");
  TextStream shown(t, true);
  CHECK(shown.push(bos) == "<s>");
  CHECK(shown.push(hello) == " hello");
}

TEST_CASE("One tokenizer serves several threads") {
  for (const Tokenizer& tokenizer : tiny_tokenizers()) {
    RandomText random(9);
    std::vector<std::string> texts(500);
    std::vector<Ids> expected;
    for (std::string& text : texts) {
      text = random.next();
      expected.push_back(tokenizer.encode(text));
    }
    std::vector<int> wrong(4);
    {
      std::vector<std::jthread> threads;
      for (int& count : wrong) {
        threads.emplace_back([&] {
          for (std::size_t i = 0; i < texts.size(); ++i) {
            count += tokenizer.encode(texts[i]) != expected[i] || tokenizer.decode(expected[i]) != texts[i];
          }
        });
      }
    }
    CHECK(wrong == std::vector<int>(4));
  }
}
