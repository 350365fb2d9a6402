// Published files: vocabularies of four families and a small model.
// Needs NIBBLE_CONFORMANCE_DIR; says so where it is absent.
#include "nibble/file/checkpoint.hpp"
#include "support/catch.hpp"

using namespace nibble;

namespace {

const std::filesystem::path folder = NIBBLE_CONFORMANCE_DIR;

bool present(const std::filesystem::path& path) {
  if (exists(path)) return true;
  WARN("NOT RUN: NIBBLE_CONFORMANCE_DIR does not hold " << path.string());
  return false;
}

}  // namespace

TEST_CASE("published vocabularies load") {
  struct Case {
    const char* name;
    std::size_t tokens;
  };
  for (const Case c : {Case{"gpt-2", 50'257}, Case{"llama-bpe", 128'256}, Case{"llama-spm", 32'000},
                       Case{"phi-3", 32'064}}) {
    const auto path = folder / "vocab" / ("ggml-vocab-" + std::string(c.name) + ".gguf");
    if (!present(path)) continue;
    const Checkpoint checkpoint = Checkpoint::open(path);
    CHECK(checkpoint.tensors.empty());
    REQUIRE(checkpoint.metadata.texts("tokenizer.ggml.tokens"));
    CHECK(checkpoint.metadata.texts("tokenizer.ggml.tokens")->size() == c.tokens);
  }
}

TEST_CASE("a published model loads") {
  const auto path = folder / "models" / "stories260K.gguf";
  if (!present(path)) return;
  const Checkpoint checkpoint = Checkpoint::open(path);
  CHECK(checkpoint.metadata.text("general.architecture") == "llama");
  REQUIRE(checkpoint.find("token_embd.weight"));
  CHECK(checkpoint.find("token_embd.weight")->shape.rows() == 512);
  CHECK(checkpoint.find("token_embd.weight")->dtype == Dtype::F32);
}
