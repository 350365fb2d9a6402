// A tokenizer without its model: of a .gguf file, a tokenizer.json or tokenizer.model, or a folder with one.
// For the commands that need no weights.
#pragma once

#include <filesystem>

#include "nibble/text/tokenizer.hpp"

namespace cli {

// Failures are blamed on the file.
nibble::Tokenizer load_tokenizer(const std::filesystem::path& path);

}  // namespace cli
