// Ids and texts of Hugging Face's tokenizers, from tokenizer.json and from the same tokenizer as GGUF.
// The fixtures' script and keys: tests/parity/make_tokenizers.py.
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "nibble/file/gguf.hpp"
#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"

using namespace nibble;
using Ids = std::vector<TokenId>;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(NIBBLE_SOURCE_DIR) / "tests/parity/fixtures";

struct Fixture {
  const char* name;
  const char* json;  // the folder of tokenizer.json
  const char* gguf;  // empty: the GGUF form means something else
};

Fixture fixture() {
  return GENERATE(
      Fixture{"llama-gqa-untied", "hf", "model.gguf"}, Fixture{"mistral-window", "hf", "model.gguf"},
      Fixture{"tokenizers/llama3", "", "vocab.gguf"}, Fixture{"tokenizers/qwen2", "", "vocab.gguf"},
      Fixture{"tokenizers/o200k", "", "vocab.gguf"}, Fixture{"tokenizers/tekken", "", "vocab.gguf"},
      Fixture{"tokenizers/smollm", "", "vocab.gguf"}, Fixture{"tokenizers/phi4", "", ""},
      Fixture{"tokenizers/deepseek", "", "vocab.gguf"}, Fixture{"tokenizers/llama2", "", "vocab.gguf"},
      Fixture{"tokenizers/gemma", "", "vocab.gguf"}, Fixture{"tokenizers/llama2-first", "", ""},
      Fixture{"tokenizers/phi3", "", ""});
}

nlohmann::json parse(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE(file);
  return nlohmann::json::parse(file);
}

nlohmann::json read_cases(const std::filesystem::path& folder) {
  auto cases = parse(folder / "tokens.json").at("cases");
  REQUIRE(cases.size() == 49);
  return cases;
}

void check_cases(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  for (const auto& expected : read_cases(folder)) {
    const auto text = expected.at("text").get<std::string>();
    INFO("text: " << text);
    const auto ids = expected.at("ids").get<Ids>();
    CHECK(tokenizer.encode(text, {.add_special = false, .parse_special = true}) == ids);
    CHECK(tokenizer.encode(text, {.parse_special = true}) == expected.at("ids_bos").get<Ids>());
    CHECK(tokenizer.encode(text, {.add_special = false}) == expected.value("ids_plain", ids));
    const auto decoded = expected.value("decoded", text);
    CHECK(tokenizer.decode(ids, true) == decoded);
    CHECK(tokenizer.decode(ids) == expected.value("decoded_skip", decoded));
  }
}

// The number and FNV-1a of the ids; see make_tokenizers.py.
nlohmann::json digest(const Ids& ids) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const TokenId id : ids) hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x100000001B3;
  std::ostringstream hex;
  hex << std::hex << std::setw(16) << std::setfill('0') << hash;
  return {{"n", ids.size()}, {"fnv1a", hex.str()}};
}

Tokenizer open_gguf(const std::filesystem::path& path) {
  return Tokenizer::from_gguf(parse_gguf(*ByteSource::open(path)).metadata);
}

}  // namespace

TEST_CASE("tokenizer.json gives the ids and texts of its makers' library") {
  const Fixture f = fixture();
  INFO(f.name);
  const auto json = fixtures / f.name / f.json;
  check_cases(Tokenizer::from_json(json / "tokenizer.json", json / "tokenizer_config.json"),
              fixtures / f.name);
}

TEST_CASE("GGUF metadata gives the ids and texts of its makers' library") {
  const Fixture f = fixture();
  if (!*f.gguf) return;
  INFO(f.name);
  check_cases(open_gguf(fixtures / f.name / f.gguf), fixtures / f.name);
}

TEST_CASE("tokenizer.model gives the ids and texts of SentencePiece") {
  const auto folder = fixtures / "tokenizers" / GENERATE("sp-llama", "sp-gemma");
  INFO(folder);
  const Tokenizer tokenizer = Tokenizer::open(folder);
  for (const auto& expected : read_cases(folder)) {
    const auto text = expected.at("text").get<std::string>();
    INFO("text: " << text);
    const auto ids = expected.at("ids").get<Ids>();
    CHECK(tokenizer.encode(text, {.add_special = false}) == ids);
    CHECK(tokenizer.decode(ids) == expected.value("decoded", text));
  }
}

TEST_CASE("1 MiB of text in thirty scripts has its makers' ids in every container") {
  std::ifstream file(NIBBLE_MULTILINGUAL_TEXT, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(text.size() >= 1u << 20);
  const auto expected = parse(fixtures / "tokenizers/multilingual.json").at("ids");
  CHECK(expected.size() == 13);
  for (const auto& [name, wanted] : expected.items()) {
    INFO(name);
    const auto folder = fixtures / "tokenizers" / name;
    const bool parse_special = !name.starts_with("sp-");
    const EncodeOptions options = {.add_special = false, .parse_special = parse_special};
    CHECK(digest(Tokenizer::open(folder).encode(text, options)) == wanted);
    const auto gguf = folder / "vocab.gguf";
    if (std::filesystem::exists(gguf)) CHECK(digest(open_gguf(gguf).encode(text, options)) == wanted);
  }
}
