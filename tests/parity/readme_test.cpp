// README's table of models: made of the list of architectures and of the parity models there are of each.
// Where it differs, the test prints the right one.
#include <algorithm>
#include <map>
#include <set>

#include "nibble/model/architecture.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

const std::filesystem::path root = NIBBLE_SOURCE_DIR;

// Parity models by the architecture of their config.json.
std::map<std::string, std::set<std::string>> parity_models() {
  std::map<std::string, std::set<std::string>> models;
  for (const auto& entry : std::filesystem::directory_iterator(root / "tests/parity/fixtures")) {
    const std::filesystem::path config = entry.path() / "hf/config.json";
    if (!exists(entry.path() / "expected.json")) continue;
    models[read_json(config)["architectures"][0].get<std::string>()].insert(entry.path().filename().string());
  }
  return models;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string row(const Architecture& a, const std::map<std::string, std::set<std::string>>& models) {
  std::set<std::string> names, checked;
  for (std::string_view name : a.hf_names) {
    names.insert(std::string(name));
    if (const auto it = models.find(std::string(name)); it != models.end())
      checked.merge(std::set(it->second));
  }
  return "| " + std::string(a.models) + " | `" + std::string(a.name) + "` | " + joined(names) + " | " +
         joined(checked) + " |";
}

}  // namespace

TEST_CASE("readme: the table of models is that of the list of architectures") {
  const auto models = parity_models();
  std::set<std::string> rows;
  for (const Architecture* a : architectures()) {
    CAPTURE(a->name);
    CHECK_FALSE(a->models.empty());
    CHECK(std::ranges::any_of(a->hf_names, [&](auto name) { return models.contains(std::string(name)); }));
    rows.insert(row(*a, models));
  }
  std::string table =
      "| models | GGUF `general.architecture` | config.json `architectures` | parity models "
      "|\n|---|---|---|---|\n";
  for (const std::string& r : rows) table += r + "\n";
  INFO(table);
  CHECK(read_text(root / "README.md").find("\n\n" + table + "\n") != std::string::npos);
}
