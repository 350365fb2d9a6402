// Reading what a command works on: texts and lists of token ids.
// From a file, from stdin, or from the command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nibble/text/tokenizer.hpp"

namespace cli {

// The bytes of a file as they are; of stdin for an empty path or "-". Failure where it cannot be read.
std::string read_input(const std::string& path);

// Decimal ids separated by white space or commas. Failure(usage) for anything else.
std::vector<nibble::TokenId> parse_token_ids(std::string_view text);

}  // namespace cli
