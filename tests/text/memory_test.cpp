// Memory running out at every single allocation of loading, encoding and decoding: a typed error, no leak,
// and a tokenizer as good as before.
#include "nibble/text/tokenizer.hpp"
#include "support/counting_heap.hpp"
#include "support/sentencepiece_file.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;

namespace {

// Fails each allocation of `call` in turn. Sorting and just-in-time compilation can do without theirs: then
// the result must be right all the same.
void survives(const std::function<bool()>& call) {
  const std::size_t calls = test::count([&] { call(); }).calls;
  REQUIRE(calls > 2);
  for (const bool persistent : {false, true}) {
    for (std::size_t k = 0; k < calls; ++k) {
      ErrorCode code = ErrorCode::out_of_memory;
      bool right = true;
      const auto attempt = [&] {
        try {
          right = call();
        } catch (const Error& error) {
          code = error.code();
        }
      };
      test::count(attempt, k, persistent);
      CAPTURE(k, persistent);
      CHECK(right);
      CHECK(code == ErrorCode::out_of_memory);
      CHECK(test::heap.live == 0);
    }
  }
}

}  // namespace

TEST_CASE("Loading survives every failing allocation") {
  const Metadata spm = test::as_metadata(test::spm_keys()), bpe = test::as_metadata(test::bpe_keys());
  const test::TempFolder folder;
  const auto spm_json = folder.write("spm.json", test::spm_json().dump());
  const auto bpe_json = folder.write("bpe.json", test::bpe_json().dump());
  const auto config =
      folder.write("config.json", R"({"eos_token": "</s>", "chat_template": "a long enough one"})");
  survives([&] { return Tokenizer::from_gguf(spm).size() == 284; });
  survives([&] { return Tokenizer::from_gguf(bpe).size() == 271; });
  survives([&] { return Tokenizer::from_json(spm_json, config).size() == 284; });
  survives([&] { return Tokenizer::from_json(bpe_json).size() == 271; });
  const auto model = folder.write("tokenizer.model", test::spm_model());
  survives([&] { return Tokenizer::from_sentencepiece(model, config).size() == 284; });
}

TEST_CASE("Encoding and decoding survive every failing allocation, and work afterwards") {
  test::Keys keys = test::bpe_keys();
  keys["tokenizer.ggml.pre"] = "qwen2";
  for (const auto& tokenizer : {Tokenizer::from_gguf(test::as_metadata(test::spm_keys())),
                                Tokenizer::from_gguf(test::as_metadata(keys))}) {
    const std::string text = "hello  wörld é 世界 <tool> <|im_end|> " + std::string(100, 'a');
    const auto ids = tokenizer.encode(text, {.parse_special = true});
    const std::string decoded = tokenizer.decode(ids);
    survives([&] { return tokenizer.encode(text, {.parse_special = true}) == ids; });
    survives([&] { return tokenizer.decode(ids) == decoded; });
    CHECK(tokenizer.encode(text, {.parse_special = true}) == ids);
  }
}
