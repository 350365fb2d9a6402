// The nearest name by edit distance.
// See suggestion.hpp.
#include "suggestion.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>

namespace cli {

namespace {

// Insertions, deletions and replacements that turn `a` into `b`.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

std::string nearest(const std::string& word, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  for (std::size_t distance = 1; distance <= word.size() / 3; ++distance) {
    for (const std::string& name : names) {
      if (edit_distance(word, name) == distance) return "; did you mean " + name + "?";
    }
  }
  return "";
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string misspelt_option(const CLI::App& command, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (!word.starts_with("--")) continue;
    const std::string found = nearest(word.substr(0, word.find('=')), option_names(command));
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace

std::string suggestion(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) return "";
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands.push_back(command->get_name());
    if (command->get_name() == words[0]) return misspelt_option(*command, words);
  }
  return nearest(words[0], commands);
}

}  // namespace cli
