// Reading files and stdin whole, and parsing ids.
// See input.hpp.
#include "input.hpp"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>

#include "exit_code.hpp"
#include "terminal.hpp"

namespace cli {

std::string read_input(const std::string& path) {
  if (path.empty() || path == "-") {
    if (is_terminal(STDIN_FILENO)) print_note("reading from the terminal; Ctrl-D ends");
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) throw Failure(failure, path + ": cannot be read");
  return text;
}

std::vector<nibble::TokenId> parse_token_ids(std::string_view text) {
  constexpr std::string_view separators = " \t\r\n,";
  std::vector<nibble::TokenId> ids;
  while (true) {
    const std::size_t begin = text.find_first_not_of(separators);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(separators));
    nibble::TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      throw Failure(usage, "not a token id: " + shorten(word, 40));
    }
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

}  // namespace cli
