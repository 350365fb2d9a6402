// What hostile templates, JSON and patterns nest, on the small stack that a host may give its threads.
// An overflow ends the test program; figures are in docs/text.md.
#include <pthread.h>

#include <functional>

#include "nibble/text/chat_template.hpp"
#include "nibble/text/tokenizer.hpp"
#include "src/file/config_json.hpp"
#include "src/text/pattern.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/thrown.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 1 << 20;  // frames are several times as large
#else
constexpr std::size_t stack_bytes = 160 << 10;
#endif

void* call(void* work) {
  (*static_cast<std::function<void()>*>(work))();
  return nullptr;
}

// Runs it on a thread of its own; what it throws is the caller's.
void on_small_stack(const std::function<void()>& work) {
  std::exception_ptr thrown;
  std::function<void()> caught = [&] {
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  };
  pthread_attr_t attributes;
  pthread_t thread;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  REQUIRE(pthread_create(&thread, &attributes, call, &caught) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (thrown) std::rethrow_exception(thrown);
}

std::string repeat(std::string_view part, std::size_t n) {
  std::string made;
  for (std::size_t i = 0; i < n; ++i) made += part;
  return made;
}

// `n` of one around the other.
std::string nested(std::string_view begin, std::string_view inner, std::string_view end, std::size_t n) {
  return repeat(begin, n).append(inner).append(repeat(end, n));
}

ErrorCode code_of(const std::string& source, const std::string& variables = "{}") {
  return test::thrown([&] { on_small_stack([&] { ChatTemplate(source).render(variables); }); }).code();
}

std::string calling_itself(const std::string& body) {
  return "{% macro m(x=1) %}" + body + "{% endmacro %}{{ m() }}";
}

}  // namespace

TEST_CASE("stack: templates that call themselves end with their budget of levels") {
  for (const std::string& body : {
           std::string("{{ m() }}"),
           std::string("{{ m(m()) }}"),
           std::string("{% call m() %}{{ m() }}{% endcall %}"),
           std::string("{% for x in [1] if m() %}{% endfor %}"),
           nested("{% for x in [1] %}", "{{ m() }}", "{% endfor %}", 60),
           nested("{% set x %}", "{{ m() }}", "{% endset %}", 60),
           nested("{% if 1 %}", "{{ m() }}", "{% endif %}", 60),
           "{{ " + nested("range(", "m()", ")", 50) + " }}",
           "{{ " + nested("1|default(", "m()", ")", 50) + " }}",
           "{{ " + nested("'a'[:", "m()", "]", 50) + " }}",
           "{{ " + nested("[", "m()", "]", 30) + " }}",
           "{{ m()" + repeat("[0:1]", 100) + " }}",
           "{{ m()" + repeat(" + 1", 100) + " }}",
       }) {
    INFO(body.substr(0, 80));
    CHECK(code_of(calling_itself(body)) == ErrorCode::limit);
  }
}

TEST_CASE("stack: filters that call filters, and values within values, end with the same budget") {
  const std::string grow =
      "{% set ns = namespace(l='x') %}{% for i in range(3000) %}{% set ns.l = [ns.l] %}{% endfor %}";
  const std::string maps = repeat("'map', ", 2'998) + "'upper'";
  for (const std::string& use : {"ns.l|map(" + maps + ")", std::string("ns.l"), std::string("ns.l|tojson"),
                                 std::string("ns.l == [ns.l]"), std::string("[ns.l, [ns.l]]|sort")}) {
    INFO(use.substr(0, 40));
    CHECK(code_of(grow + "{{ " + use + " }}") == ErrorCode::limit);
  }
}

TEST_CASE("stack: what is nested as deep as may be is compiled and rendered") {
  for (const std::string& source : {
           nested("{% for x in [1] if x %}", "{{ 1 }}", "{% endfor %}", 60),
           nested("{% filter trim %}", "{{ 1 }}", "{% endfilter %}", 60),
           "{{ " + nested("(", "1", ")", 62) + " }}",
           "{{ 1" + repeat(" + 0", 126) + " }}",
           "{{ 1" + repeat("|abs", 126) + " }}",
       }) {
    INFO(source.substr(0, 80));
    on_small_stack([&] { CHECK(ChatTemplate(source).render("{}").text == "1"); });
  }
  const std::string deep = "{\"a\": " + nested("[", "", "]", 127) + "}";
  on_small_stack([&] { CHECK(ChatTemplate("{{ a|tojson }}").render(deep).text.size() == 2 * 127); });
  CHECK(code_of("{{ a }}", "{\"a\": " + repeat("[", 100'000)) == ErrorCode::limit);
}

TEST_CASE("stack: configurations, tokenizers and patterns nested as deep as may be") {
  const TempFolder folder;
  const auto config = folder.write("config.json", nested("{\"a\":", "1", "}", 128));
  on_small_stack([&] { CHECK(read_config_json(config, {}).entries().size() == 1); });

  const auto sequences = [](std::string_view parts, std::string_view inner) {
    return nested(R"({"type": "Sequence", ")" + std::string(parts) + "\": [", inner, "]}", 60);
  };
  const auto tokenizer =
      folder.write("tokenizer.json",
                   R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "normalizer": )" +
                       sequences("normalizers", R"({"type": "NFC"})") + R"(, "pre_tokenizer": )" +
                       sequences("pretokenizers",
                                 R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})") +
                       R"(, "decoder": )" + sequences("decoders", R"({"type": "ByteLevel"})") + "}");
  on_small_stack([&] { CHECK(Tokenizer::from_json(tokenizer).size() == 1); });

  for (const std::size_t depth : {std::size_t{200}, std::size_t{10'000}}) {
    const std::string pattern = nested("(?:", "a|b", ")+", depth);
    try {
      on_small_stack([&] {
        const Pattern compiled(pattern, {"tokenizer.json", "/pattern", "pattern"}, {});
        StepBudget budget(1'000);
        Pattern::Search(compiled, budget).next(std::string(1'000, 'a'), 0);
      });
    } catch (const Error& error) {
      CHECK((error.code() == ErrorCode::unsupported || error.code() == ErrorCode::limit));
    }
  }
}
