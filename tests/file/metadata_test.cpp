// Typed access to metadata: every getter, every way it can fail.
#include "nibble/file/metadata.hpp"

#include "support/expect_error.hpp"

using namespace nibble;

namespace {

Metadata sample() {
  Metadata m("file");
  m.add("bool", true, "byte 1");
  m.add("integer", std::int64_t{7}, "byte 2");
  m.add("negative", std::int64_t{-7}, "byte 3");
  m.add("large", std::uint64_t{1} << 63, "byte 4");
  m.add("number", 1.5, "byte 5");
  m.add("text", std::string("t"), "byte 6");
  m.add("flags", std::vector<bool>{true}, "byte 7");
  m.add("integers", std::vector<std::int64_t>{1, 2}, "byte 8");
  m.add("numbers", std::vector<double>{0.5}, "byte 9");
  m.add("texts", std::vector<std::string>{"a"}, "byte 10");
  m.add("empty", std::vector<double>{}, "byte 11");
  return m;
}

}  // namespace

TEST_CASE("metadata reads values as what they are") {
  const Metadata m = sample();
  CHECK(m.count("integer") == 7);
  CHECK(m.count("large") == 1ull << 63);
  CHECK(m.number("integer") == 7);
  CHECK(m.number("negative") == -7);
  CHECK(m.number("large") == 0x1p63);
  CHECK(m.number("number") == 1.5);
  CHECK(m.flag("bool", false));
  CHECK(m.text("text") == "t");
  CHECK(*m.flags("flags") == std::vector<bool>{true});
  CHECK(*m.integers("integers") == std::vector<std::int64_t>{1, 2});
  CHECK(*m.numbers("numbers") == std::vector<double>{0.5});
  CHECK(*m.numbers("integers") == std::vector<double>{1, 2});
  CHECK(*m.texts("texts") == std::vector<std::string>{"a"});
}

TEST_CASE("absent keys give the default, null or an error") {
  const Metadata m = sample();
  CHECK(m.count("none", 3) == 3);
  CHECK(m.number("none", 2.5) == 2.5);
  CHECK(m.flag("none", true));
  CHECK(m.text("none", "d") == "d");
  CHECK(!m.texts("none"));
  CHECK(!m.integers("none"));
  CHECK(!m.flags("none"));
  CHECK(!m.numbers("none"));
  for (const auto& call :
       {+[](const Metadata& x) { x.count("none"); }, +[](const Metadata& x) { x.number("none"); },
        +[](const Metadata& x) { x.text("none"); }}) {
    const Error error = test::expect_error([&] { call(m); }, ErrorCode::missing, "");
    CHECK(error.field() == "none");
    CHECK(error.source() == "file");
  }
}

TEST_CASE("another type is an error at its place") {
  const Metadata m = sample();
  const auto wrong = [&](auto call, std::string_view position) {
    test::expect_error([&] { call(m); }, ErrorCode::wrong_type, position);
  };
  wrong([](const Metadata& x) { x.count("number"); }, "byte 5");
  wrong([](const Metadata& x) { x.count("text", 1); }, "byte 6");
  wrong([](const Metadata& x) { x.number("bool"); }, "byte 1");
  wrong([](const Metadata& x) { x.flag("integer", true); }, "byte 2");
  wrong([](const Metadata& x) { x.text("integer"); }, "byte 2");
  wrong([](const Metadata& x) { x.texts("integers"); }, "byte 8");
  wrong([](const Metadata& x) { x.integers("numbers"); }, "byte 9");
  wrong([](const Metadata& x) { x.integers("integer"); }, "byte 2");
  wrong([](const Metadata& x) { x.flags("integers"); }, "byte 8");
  wrong([](const Metadata& x) { x.numbers("texts"); }, "byte 10");
  test::expect_error([&] { m.count("negative"); }, ErrorCode::out_of_range, "byte 3");
}

TEST_CASE("an empty array serves as an array of any type") {
  const Metadata m = sample();
  CHECK(m.texts("empty")->empty());
  CHECK(m.integers("empty")->empty());
  CHECK(m.flags("empty")->empty());
  CHECK(m.numbers("empty")->empty());
}

TEST_CASE("add refuses a second value, set replaces it") {
  Metadata m = sample();
  const Error error =
      test::expect_error([&] { m.add("bool", false, "byte 99"); }, ErrorCode::duplicate, "byte 99");
  CHECK(error.field() == "bool");
  CHECK(m.flag("bool", false));
  m.set("bool", false);
  CHECK(!m.flag("bool", true));
  m.set("new", std::int64_t{1});
  CHECK(m.count("new") == 1);
}

TEST_CASE("every type has a name") {
  CHECK(type_name(Value(true)) == "bool");
  CHECK(type_name(Value(std::int64_t{})) == "integer");
  CHECK(type_name(Value(std::vector<std::string>())) == "array of strings");
}
