// Which loader a path is for.
// See load_tokenizer.hpp.
#include "load_tokenizer.hpp"

#include "exit_code.hpp"
#include "nibble/file/checkpoint.hpp"

namespace cli {

nibble::Tokenizer load_tokenizer(const std::filesystem::path& path) {
  return opening([&] {
    const bool is_tokenizer = path.extension() == ".json" || path.extension() == ".model";
    if (is_tokenizer || std::filesystem::is_directory(path)) return nibble::Tokenizer::open(path);
    return nibble::Tokenizer::load(nibble::Checkpoint::open(path));
  });
}

}  // namespace cli
