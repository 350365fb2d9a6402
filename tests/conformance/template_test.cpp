// Real chat templates against what Jinja2 makes of them.
// Needs NIBBLE_CONFORMANCE_DIR; says so where it is empty.
#include "nibble/text/chat_template.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/thrown.hpp"

using namespace nibble;

TEST_CASE("Real chat templates render all 48 cases to the character") {
  const std::string folder = NIBBLE_CONFORMANCE_DIR;
  if (folder.empty()) {
    WARN("skipped: NIBBLE_CONFORMANCE_DIR is empty");
    return;
  }
  const std::chrono::local_seconds now =
      std::chrono::local_days{std::chrono::July / 26 / 2024} + std::chrono::hours(12);
  const auto goldens = nlohmann::ordered_json::parse(test::read_text(folder + "/templates/goldens.json"));
  REQUIRE(goldens["cases"].size() == 48);
  for (const auto& item : goldens["cases"]) {
    const std::string name = item["template"].get<std::string>();
    INFO(name << ": " << item["case"]);
    const ChatTemplate chat(test::read_text(folder + "/templates/" + name), name);
    const auto render = [&] { return chat.render(item["input"].dump(), now).text; };
    if (item.contains("output")) {
      CHECK(render() == item["output"].get<std::string>());
    } else {
      CHECK(test::thrown(render).code() == ErrorCode::invalid_argument);
    }
  }
}
