// Which loader a path is for.
// See load_tokenizer.hpp.
#include "load_tokenizer.hpp"

#include "exit_code.hpp"
#include "nibble/file/checkpoint.hpp"

namespace cli {

namespace {

namespace fs = std::filesystem;

nibble::Tokenizer load_json(const fs::path& tokenizer) {
  const auto beside = [&](const char* name) {
    const fs::path path = tokenizer.parent_path() / name;
    return fs::exists(path) ? path : fs::path();
  };
  return nibble::Tokenizer::from_json(tokenizer, beside("tokenizer_config.json"),
                                      beside("generation_config.json"));
}

}  // namespace

nibble::Tokenizer load_tokenizer(const fs::path& path) {
  return opening([&] {
    if (fs::is_directory(path)) return load_json(path / "tokenizer.json");
    if (path.extension() == ".json") return load_json(path);
    return nibble::Tokenizer::load(nibble::Checkpoint::open(path));
  });
}

}  // namespace cli
