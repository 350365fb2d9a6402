// Ids and texts of Hugging Face's tokenizers, from tokenizer.json and from the same tokenizer as GGUF.
// The fixtures' script and keys: tests/parity/make_tokenizers.py.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
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
      Fixture{"tokenizers/llama2", "", "vocab.gguf"}, Fixture{"tokenizers/gemma", "", "vocab.gguf"},
      Fixture{"tokenizers/llama2-first", "", ""}, Fixture{"tokenizers/phi3", "", ""});
}

void check_cases(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  std::ifstream file(folder / "tokens.json");
  REQUIRE(file);
  const auto cases = nlohmann::json::parse(file).at("cases");
  REQUIRE(cases.size() == 49);
  for (const auto& expected : cases) {
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
  const auto source = ByteSource::open(fixtures / f.name / f.gguf);
  check_cases(Tokenizer::from_gguf(parse_gguf(*source).metadata), fixtures / f.name);
}
