// Malformed and hostile templates, numbered as in the checklist of hostile inputs: exact code, exact place.
#include "nibble/text/chat_template.hpp"
#include "support/expect_error.hpp"

using namespace nibble;
using test::expect_error;

namespace {

std::string repeat(std::string_view part, std::size_t n) {
  std::string made;
  for (std::size_t i = 0; i < n; ++i) made += part;
  return made;
}

// The source does not compile.
void refused(const std::string& source, ErrorCode code, std::string_view position) {
  INFO(source.substr(0, 80));
  const Error error = expect_error([&] { ChatTemplate(source, "some.jinja"); }, code, position);
  CHECK(error.source() == "some.jinja");
}

// The source compiles, and rendering fails.
Error fails(const std::string& source, ErrorCode code, std::string_view position, const Limits& limits = {}) {
  INFO(source.substr(0, 80));
  const ChatTemplate chat(source, "some.jinja", limits);
  const Error error =
      expect_error([&] { chat.render("{\"text\": \"abc\", \"list\": [1, 2]}"); }, code, position);
  CHECK(error.source() == "some.jinja");
  return error;
}

}  // namespace

TEST_CASE("61: a template of more than a mebibyte") {
  refused(std::string((1u << 20) + 1, 'x'), ErrorCode::limit, "line 1, column 1");
  CHECK(ChatTemplate(std::string(1u << 20, 'x')).render("{}").text.size() == 1u << 20);
  refused("ab\xff", ErrorCode::malformed, "byte 2");
}

TEST_CASE("62: nesting of brackets, tags, filters, operators and signs") {
  refused("{{ " + repeat("(", 5'000), ErrorCode::limit, "line 1, column 67");
  refused("{{ " + repeat("[", 200'000), ErrorCode::limit, "line 1, column 67");
  refused(repeat("{% if 1 %}", 5'000), ErrorCode::limit, "line 1, column 637");
  refused(repeat("{% for a in b %}", 5'000), ErrorCode::limit, "line 1, column 1016");
  refused("{{ 1" + repeat("|abs", 5'000) + " }}", ErrorCode::limit, "line 1, column 514");
  refused("{{ 1" + repeat("+1", 5'000) + " }}", ErrorCode::limit, "line 1, column 259");
  refused("{{ a" + repeat(".a", 5'000) + " }}", ErrorCode::limit, "line 1, column 259");
  refused("{{ " + repeat("-", 5'000) + "1 }}", ErrorCode::limit, "line 1, column 4876");
  refused("{{ " + repeat("not ", 5'000) + "1 }}", ErrorCode::limit, "line 1, column 508");
  refused("{{ " + repeat("1 if 1 else ", 5'000) + "1 }}", ErrorCode::limit, "line 1, column 1516");
  refused("{% for " + repeat("(", 5'000), ErrorCode::limit, "line 1, column 134");
  CHECK(ChatTemplate("{{ " + repeat("(", 50) + "1" + repeat(")", 50) + " }}").render("{}").text == "1");
  CHECK(ChatTemplate(repeat("{# x #}", 100'000)).render("{}").text.empty());
}

TEST_CASE("63: macros that call themselves; templates that include others") {
  fails("{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}", ErrorCode::limit, "line 1, column 16");
  fails("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}\n{{ a() }}",
        ErrorCode::limit, "line 1, column 16");
  fails("{% macro m(x=m()) %}{% endmacro %}{{ m() }}", ErrorCode::limit, "line 1, column 15");
  for (const char* tag : {"include", "import", "extends", "block", "from", "do"}) {
    refused("\n{% " + std::string(tag) + " 'x' %}", ErrorCode::unsupported, "line 2, column 4");
  }
}

TEST_CASE("64: ranges, repetitions and margins beyond all memory") {
  fails("{{ range(10**9) }}", ErrorCode::limit, "line 1, column 9");
  fails("{{ 'x' * 10**10 }}", ErrorCode::limit, "line 1, column 8");
  fails("{{ 9223372036854775807 * 'xy' }}", ErrorCode::limit, "line 1, column 24");
  fails("{{ list * 10**10 }}", ErrorCode::limit, "line 1, column 9");
  fails("{{ 'a\\nb'|indent(10**9) }}", ErrorCode::limit, "line 1, column 11");
  fails("{{ list|tojson(indent=10**9) }}", ErrorCode::limit, "line 1, column 9");
  fails("{% set ns = namespace(x='x') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        ErrorCode::limit, "line 1, column 76");
}

TEST_CASE("65: nested loops end with their budget of steps") {
  const std::string loops =
      repeat("{% for a in range(1000) %}", 4) + "{% set x = 1 %}" + repeat("{% endfor %}", 4);
  const Error error = fails(loops, ErrorCode::limit, "line 1, column 108", {.template_steps = 100'000});
  CHECK(error.allowed() == "template_steps, 100000");
  fails(
      "{% set ns = namespace(l=[]) %}{% for a in range(99999) %}{% for b in range(99999) %}{{ ns.l.append(a) "
      "or '' }}"
      "{% endfor %}{% endfor %}",
      ErrorCode::limit, "line 1, column 88", {.template_steps = 500'000});
}

TEST_CASE("66: output ends with its budget") {
  const Error error = fails("{% for a in range(100) %}0123456789{% endfor %}", ErrorCode::limit,
                            "line 1, column 26", {.template_output = 50});
  CHECK(error.allowed() == "template_output, 50");
  fails("{% set x %}{% for a in range(100) %}0123456789{% endfor %}{% endset %}", ErrorCode::limit,
        "line 1, column 37", {.template_output = 50});
}

TEST_CASE("67: unknown tags, filters, tests and functions, by name") {
  refused("a\n  {% frobnicate %}", ErrorCode::unsupported, "line 2, column 6");
  refused("{{ 1 }}\n{{ text|frobnicate }}", ErrorCode::unsupported, "line 2, column 9");
  refused("{% if false %}{{ text is frobnicate }}{% endif %}", ErrorCode::unsupported, "line 1, column 26");
  const Error error = fails("é {{ frobnicate(1) }}", ErrorCode::missing, "line 1, column 16");
  CHECK(error.found() == "\"frobnicate\", something undefined");
  fails("{{ list|map('frobnicate') }}", ErrorCode::unsupported, "line 1, column 9");
  refused("{{ a b }}", ErrorCode::malformed, "line 1, column 6");
  refused("{%<\u00e9", ErrorCode::malformed, "line 1, column 4");  // once read within the character
  refused("{{ 'a", ErrorCode::malformed, "line 1, column 4");
  refused("{% if a %}", ErrorCode::malformed, "line 1, column 11");
}

TEST_CASE("68: nothing leads from a value to what it is made of") {
  fails("{{ ''.__class__ }}", ErrorCode::unsupported, "line 1, column 6");
  fails("{{ ''['__class__'] }}", ErrorCode::unsupported, "line 1, column 7");
  fails("{{ list.__init__.__globals__ }}", ErrorCode::unsupported, "line 1, column 8");
  fails("{{ range.__self__ }}", ErrorCode::unsupported, "line 1, column 9");
  fails("{{ list|map(attribute='__class__')|list }}", ErrorCode::unsupported, "line 1, column 9");
  fails("{{ '{0.__class__}'.format(1) }}", ErrorCode::unsupported, "line 1, column 26");
  CHECK(ChatTemplate("{{ x.__class__ }}").render(R"({"x": {"__class__": "data"}})").text == "data");
}

TEST_CASE("69: values that hold themselves") {
  const std::string knot = "{% set ns = namespace() %}{% set ns.l = [] %}{{ ns.l.append(ns.l) or '' }}\n";
  fails(knot + "{{ ns.l }}", ErrorCode::limit, "line 2, column 1");
  fails(knot + "{{ ns.l|tojson }}", ErrorCode::limit, "line 2, column 9");
  fails(knot + "{{ ns.l|string }}", ErrorCode::limit, "line 2, column 9");
  fails(knot + "{% set ns.m = [] %}{{ ns.m.append(ns.m) or '' }}{{ ns.l == ns.m }}", ErrorCode::limit,
        "line 2, column 57");
  CHECK(ChatTemplate("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me.me is defined }}")
            .render("{}")
            .text == "True");
}

TEST_CASE("70: arithmetic at its edges") {
  const std::string least = "{% set least = -9223372036854775807 - 1 %}\n";
  fails(least + "{{ least // -1 }}", ErrorCode::out_of_range, "line 2, column 10");
  CHECK(ChatTemplate(least + "{{ least % -1 }}").render("{}").text == "0");
  fails(least + "{{ -least }}", ErrorCode::out_of_range, "line 2, column 4");
  fails(least + "{{ least|abs }}", ErrorCode::out_of_range, "line 2, column 10");
  fails(least + "{{ least - 1 }}", ErrorCode::out_of_range, "line 2, column 10");
  fails("{{ 9223372036854775807 + 1 }}", ErrorCode::out_of_range, "line 1, column 24");
  fails("{{ 3 ** 50 }}", ErrorCode::out_of_range, "line 1, column 6");
  refused("{{ 9223372036854775808 }}", ErrorCode::malformed, "line 1, column 4");
  for (const char* division : {"1 // 0", "1 %  0", "1 /  0"}) {
    fails("{{ " + std::string(division) + " }}", ErrorCode::out_of_range, "line 1, column 6");
  }
  fails("{{ text[::0] }}", ErrorCode::out_of_range, "line 1, column 9");
  fails("{{ range(1, 2, 0) }}", ErrorCode::out_of_range, "line 1, column 9");
  CHECK(ChatTemplate("{{ 'abc'[::9223372036854775807] }}{{ 'abc'[-9223372036854775807:] }}")
            .render("{}")
            .text == "aabc");
}

TEST_CASE("what a template raises is the caller's to read") {
  const Error error = fails("\n{{ raise_exception('roles must ' ~ 'alternate') }}",
                            ErrorCode::invalid_argument, "line 2, column 19");
  CHECK(error.found() == "roles must alternate");
}

TEST_CASE("messages, tools and variables that are none") {
  const ChatTemplate chat("{{ messages|length }}");
  const std::vector<ChatMessage> messages = {{"user", "Hello"}};
  expect_error([&] { chat.render(messages, "[{"); }, ErrorCode::malformed, "byte 2");
  expect_error([&] { chat.render(messages, {}, {.variables = "[]"}); }, ErrorCode::wrong_type,
               "the top level");
  expect_error(
      [&] {
        chat.render(std::vector<ChatMessage>{{"user", "a\xff"}});
      },
      ErrorCode::invalid_argument, "byte 1");
  expect_error(
      [&] {
        chat.render(std::vector<ChatMessage>{{"user", "", "{\"a\":"}});
      },
      ErrorCode::malformed, "byte 5");
  expect_error([&] { chat.render("{\"a\": 18446744073709551615}"); }, ErrorCode::out_of_range, "/a");
}
