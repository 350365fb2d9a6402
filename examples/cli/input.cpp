// Reading files and stdin whole, and parsing ids.
// See input.hpp.
#include "input.hpp"

#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <iostream>

#include "exit_code.hpp"
#include "signals.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

Failure cannot_read(const std::string& name) { return {failure, name + ": cannot be read"}; }

std::string read_to_end(std::istream& in, const std::string& name) {
  std::string text;
  std::array<char, 1 << 16> part;
  while (in.read(part.data(), part.size()), in.gcount() > 0)
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
  if (in.bad()) throw cannot_read(name);
  return text;
}

}  // namespace

std::string read_input(const std::string& path) {
  if (path.empty() || path == "-") {
    const OnInterrupt quits([] { return false; });  // no answer is under way that could be kept
    if (is_terminal(STDIN_FILENO)) print_note("reading from the terminal; Ctrl-D ends");
    return read_to_end(std::cin, "stdin");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) throw cannot_read(path);
  return read_to_end(file, path);
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
