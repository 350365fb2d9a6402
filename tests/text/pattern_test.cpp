// Patterns: what is translated, what is refused, what is counted.
#include "src/text/pattern.hpp"

#include "src/text/pattern_syntax.hpp"
#include "src/text/pre_patterns.hpp"
#include "support/expect_error.hpp"

using namespace nibble;

namespace {

const Origin here = {"tokenizer.json", "/pre_tokenizer/pattern/Regex", "pattern"};

std::vector<std::string> matches(const Pattern& pattern, std::string_view text) {
  StepBudget budget(text.size());
  Pattern::Search search(pattern, budget);
  std::vector<std::string> found;
  for (std::size_t from = 0;;) {
    const auto range = search.next(text, from);
    if (!range) return found;
    found.emplace_back(text.substr(range->begin, range->end - range->begin));
    from = range->end;
  }
}

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  return matches(Pattern(pattern, here, {}), text);
}

using Pieces = std::vector<std::string>;

}  // namespace

TEST_CASE("Classes mean what Oniguruma takes them for") {
  // U+180E is no White_Space though PCRE2's \s matches it; U+0085 and U+3000 are.
  CHECK(matches(R"(\s+)", "a\u180Eb\u0085\u3000c") == Pieces{"\u0085\u3000"});
  CHECK(matches(R"([^\s]+)", "a\u180Eb\u00A0c") == Pieces{"a\u180Eb", "c"});
  CHECK(matches(R"(\S+)", "ab \u2003cd") == Pieces{"ab", "cd"});
  CHECK(matches(R"(\w+)", "e\u0301_\u203F 1Ⅷ") == Pieces{"e\u0301_\u203F", "1"});
  CHECK(matches(R"(\d)", "1٣Ⅷ") == Pieces{"1", "٣"});
  CHECK(matches(R"((?i:'s|'ll))", "'S'ſ'Ll") == Pieces{"'S", "'ſ", "'Ll"});
  CHECK(matches("^a", "a\nba\na") == Pieces{"a", "a"});  // ^ and $ are about lines
  CHECK(matches("a$", "ab\naa\na") == Pieces{"a", "a"});
  CHECK(matches(R"([\x41-\x{43}\n]+)", "xABC\nD") == Pieces{"ABC\n"});
}

TEST_CASE("Empty matches are no matches, and end") {
  CHECK(matches("b*", "abba") == Pieces{"bb"});
  CHECK(matches("(?=x)", "éxéx").empty());
  CHECK(matches("", "abc").empty());
}

TEST_CASE("malformed 56: constructs outside the subset are refused where they stand") {
  const char* refused =
      GENERATE(R"(ab(a)\1)", R"(ab\g1)", R"(ab(?R))", R"(ab(?1))", R"(ab(?<n>x))", R"(ab(*ACCEPT))",
               R"(ab(?C1))", R"(ab[a[b]])", R"(ab[a&&b])", R"(ab[\S])", R"(ab\p{Han})", R"(ab\h)", R"(ab\K)",
               R"(ab\Qx\E)", R"(ab\b)", R"(ab{,3})", R"(ab{2}+)", R"(ab{x})", R"(ab\xFF)", R"(ab\x{}x)",
               R"(ab\u0041)", R"(ab\)", R"(ab(?x)y)", R"(ab\p)", R"(ab\C)", R"(ab\z[\z])");
  INFO(refused);
  CHECK(translate_pattern(refused).refused >= 2u);
  const Error error =
      test::expect_error([&] { Pattern(refused, here, {}); }, ErrorCode::unsupported, here.position);
  CHECK(error.source() == "tokenizer.json");
}

TEST_CASE("malformed 56: a pattern that does not compile is refused") {
  const char* refused = GENERATE("(", "a)", "[a", "*", "(?<=a+)b", R"(\p{Qx})", "a{99999}", "[z-a]");
  INFO(refused);
  test::expect_error([&] { Pattern(refused, here, {}); }, ErrorCode::unsupported, here.position);
}

TEST_CASE("A pattern longer than the limit is refused") {
  Limits limits;
  limits.pattern_bytes = 10;
  test::expect_error([&] { Pattern("aaaaaaaaaaa", here, limits); }, ErrorCode::limit, here.position);
  test::expect_error([&] { Pattern::literal("aaaaaaaaaaa", here, limits); }, ErrorCode::limit, here.position);
  CHECK_NOTHROW(Pattern("aaaaaaaaaa", here, limits));
}

TEST_CASE("malformed 56: work that outgrows the text ends in an error at the pattern") {
  // [bc]: a single letter that the text lacks would end the search before it begins.
  const char* hostile =
      GENERATE("(a+)+[bc]", "(?:a|a)*[bc]", "(?:a*)*[bc]", "a*a*a*a*a*[bc]", "(?:(?:a?){20}){20}[bc]",
               ".*?(?=[bc])x|.", ".*+[bc]|.", "(?=.*[bc])a|.", "(a|aa)+$[bc]", "(?:a{1,100}){1,100}[bc]");
  INFO(hostile);
  const Pattern pattern(hostile, here, {});
  const std::string text(100'000, 'a');
  test::expect_error([&] { matches(pattern, text); }, ErrorCode::limit, here.position);
}

TEST_CASE("An unknown but linear pattern works on long texts of one class") {
  const Pattern pattern(R"(\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", here, {});
  for (const char* unit : {"a", " ", "1", "!", "\n", "世"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    std::size_t total = 0;
    for (const std::string& piece : matches(pattern, text + "x")) total += piece.size();
    CHECK(total == text.size() + 1);
  }
}

TEST_CASE("White space before a line's end is found in linear time, and the same") {
  const Pattern linear(white_space_at_end, here, {});
  CHECK(is_known_pattern(white_space_at_end));
  for (const char* text :
       {"", " ", "a  ", "  a", " a  b \t", "a \n b", "  \n  \n x", "\n", "x\n\n", " \u3000"}) {
    INFO(text);
    CHECK(matches(linear, text) == matches(R"((?:\s+$))", text));
  }
  CHECK(matches(linear, std::string(200'000, ' ') + "a").empty());
}

TEST_CASE("Every named pre-tokenizer's patterns compile and are known") {
  const std::string names = pre_pattern_names();
  for (std::size_t from = 0, at; from < names.size(); from = at + 2) {
    at = std::min(names.find(", ", from), names.size());
    const PrePatterns* row = find_pre_patterns(names.substr(from, at - from));
    REQUIRE(row);
    for (const std::string_view pattern : row->patterns) {
      CHECK(is_known_pattern(pattern));
      CHECK_NOTHROW(Pattern(pattern, here, {}));
    }
  }
  CHECK(!find_pre_patterns("llama-bpe2"));
  CHECK(!is_known_pattern("(a+)+b"));
}

TEST_CASE("Named pre-tokenizers cut as their makers' do") {
  const auto cut = [](std::string_view name, std::string_view text) {
    return matches(find_pre_patterns(name)->patterns.back(), text);
  };
  CHECK(cut("gpt-2", "I'll see  12345 (x)\n") ==
        Pieces{"I", "'ll", " see", " ", " 12345", " (", "x", ")", "\n"});
  CHECK(cut("llama-bpe", "I'LL see  12345 (x)\n\n y") ==
        Pieces{"I", "'LL", " see", " ", " ", "123", "45", " (", "x", ")\n\n", " y"});
  CHECK(cut("qwen2", "a123") == Pieces{"a", "1", "2", "3"});
  CHECK(cut("gpt-4o", "XMLHttpRequest's 1234/\n") == Pieces{"XMLHttp", "Request's", " ", "123", "4", "/\n"});
  CHECK(cut("tekken", "HelloWorld's 12") == Pieces{"Hello", "World", "'s", " ", "1", "2"});
  CHECK(cut("deepseek-v3", "(abc 今 x") == Pieces{"(abc", " 今", " x"});
}
