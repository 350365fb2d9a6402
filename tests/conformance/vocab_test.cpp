// Real vocabularies against their published token ids, and texts there and back again.
// Needs NIBBLE_CONFORMANCE_DIR; says so where it is empty.
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "nibble/file/gguf.hpp"
#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/random_text.hpp"

using namespace nibble;

namespace {

const std::string folder = NIBBLE_CONFORMANCE_DIR;

bool is_absent() {
  if (!folder.empty()) return false;
  WARN("skipped: NIBBLE_CONFORMANCE_DIR is empty");
  return true;
}

std::string file_name() {
  const char* name = GENERATE("gpt-2", "llama-bpe", "llama-spm", "phi-3");
  return folder + "/vocab/ggml-vocab-" + name + ".gguf";
}

Tokenizer open(const std::string& path) {
  return Tokenizer::from_gguf(parse_gguf(*ByteSource::open(path)).metadata);
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> texts_of(const std::string& path) {
  const std::string all = contents(path), separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (std::size_t from = 0, at; from <= all.size(); from = at + separator.size()) {
    at = std::min(all.find(separator, from), all.size());
    texts.push_back(all.substr(from, at - from));
  }
  return texts;
}

}  // namespace

TEST_CASE("Real vocabularies give their published ids for all 47 texts") {
  if (is_absent()) return;
  const std::string path = file_name();
  INFO(path);
  const Tokenizer tokenizer = open(path);
  const std::vector<std::string> texts = texts_of(path + ".inp");
  REQUIRE(texts.size() == 47);
  std::istringstream lines(contents(path + ".out"));
  for (const std::string& text : texts) {
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    const std::vector<TokenId> expected(std::istream_iterator<TokenId>(numbers), {});
    INFO("text: " << text);
    CHECK(tokenizer.encode(text, {.add_special = false}) == expected);
    CHECK(tokenizer.decode(expected) == text);
  }
}

TEST_CASE("Real vocabularies give every one of 100,000 random texts back") {
  if (is_absent()) return;
  const std::string path = file_name();
  INFO(path);
  const Tokenizer tokenizer = open(path);
  RandomText random(20240607);
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = random.next();
    const std::vector<TokenId> ids = tokenizer.encode(text);
    if (tokenizer.decode(ids) == text) continue;
    INFO("text: " << text);
    REQUIRE(tokenizer.decode(ids) == text);
  }
}
