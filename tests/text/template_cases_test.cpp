// Templates against Jinja2's own results (tests/fixtures/make_templates.py).
#include "nibble/text/chat_template.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/thrown.hpp"

using namespace nibble;

TEST_CASE("every template of the fixture prints what Jinja2 prints, or is refused where Jinja2 refuses it") {
  const auto fixture =
      nlohmann::ordered_json::parse(test::read_text(NIBBLE_SOURCE_DIR "/tests/fixtures/templates.json"));
  const std::string variables = fixture["variables"].dump();
  const std::chrono::local_seconds now =
      std::chrono::local_days{std::chrono::July / 26 / 2024} + std::chrono::hours(12);
  REQUIRE(fixture["cases"].size() > 100);
  for (const auto& item : fixture["cases"]) {
    const std::string source = item[0].get<std::string>();
    INFO(source);
    const auto render = [&] { return ChatTemplate(source).render(variables, now).text; };
    if (item[1].is_string()) {
      CHECK(render() == item[1].get<std::string>());
    } else {
      const Error error = test::thrown(render);
      CHECK(error.code() != ErrorCode::internal);
      CHECK(error.position().starts_with("line 1, column "));
    }
  }
}
