// Opening whole models: what only all stages together can find wrong, and what tells models apart.
#include "nibble/model.hpp"

#include <fstream>

#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/thrown.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

TEST_CASE("a model opens whole: hyperparameters, weights, plan, tokenizer") {
  for (const bool byte_level : {false, true}) {
    const TinyModel shape{.layers = 3, .window = 9, .padding_rows = 5, .byte_level = byte_level};
    const Model model = open_tiny_model(shape);
    CHECK(model.config().n_layers == 3);
    CHECK(model.plan().kv.size() == 3);
    CHECK(model.plan().kv[0].window == 9);
    CHECK(model.plan().vocab_size == shape.vocabulary());
    CHECK(model.tokenizer().size() == shape.vocabulary() - 5);
    CHECK(model.checkpoint().metadata.text("general.name") == "tiny");
  }
}

TEST_CASE("item 38: fewer embedding rows than tokens are refused") {
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "m.gguf";
  Metadata metadata = tiny_metadata({});
  const std::int64_t rows = TinyModel{}.vocabulary();
  const auto refusal = [&](std::int64_t vocab_size) {
    metadata.set("llama.vocab_size", vocab_size);
    write_tiny_model(path, {}, metadata);
    return thrown([&] { Model::open(path); });
  };
  const Error fewer = refusal(rows - 1);
  CHECK(fewer.code() == ErrorCode::shape_mismatch);
  CHECK(fewer.field() == "vocabulary");
  CHECK(fewer.source() == path.string());
  CHECK(refusal(rows + 1).code() == ErrorCode::shape_mismatch);
}

TEST_CASE("the fingerprint is the model's, wherever it lies, and no other's") {
  const std::uint64_t tiny = open_tiny_model().fingerprint();
  CHECK(open_tiny_model().fingerprint() == tiny);
  for (const TinyModel& other : {TinyModel{.seed = 2}, TinyModel{.layers = 3}, TinyModel{.window = 100},
                                 TinyModel{.dtype = Dtype::F16}, TinyModel{.tied = true}})
    CHECK(open_tiny_model(other).fingerprint() != tiny);
}

TEST_CASE("opening can be cancelled, and a missing or damaged file is refused") {
  const TempFolder folder;
  write_tiny_model(folder.path() / "m.gguf");
  std::stop_source stop;
  stop.request_stop();
  for (const LoadMode mode : {LoadMode::copy, LoadMode::map}) {
    const Error e = thrown(
        [&] { Model::open(folder.path() / "m.gguf", {.load = mode, .watch = {.stop = stop.get_token()}}); });
    CHECK(e.code() == ErrorCode::cancelled);
  }
  CHECK(thrown([&] { Model::open(folder.path() / "none.gguf"); }).code() == ErrorCode::io);
  std::filesystem::resize_file(folder.path() / "m.gguf", 1000);
  CHECK(thrown([&] { Model::open(folder.path() / "m.gguf"); }).code() == ErrorCode::truncated);
}
