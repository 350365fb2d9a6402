// The private JSON reader: values, pointers, and what it refuses.
#include "src/file/json.hpp"

#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using Kind = Json::Kind;

namespace {

JsonDocument parse(std::string_view text) { return parse_json(text, "test"); }

void refused(std::string_view text, ErrorCode code, std::string_view position, const Limits& limits = {}) {
  INFO(text);
  test::expect_error([&] { parse_json(text, "test", limits); }, code, position);
}

}  // namespace

TEST_CASE("JSON values of every kind") {
  const JsonDocument document = parse(
      R"( {"n":null,"b":true,"i":-3,"u":18446744073709551615,"d":2.5e1,"s":"a\u00e9\n","a":[1,[],{}],"o":{"":1}} )");
  const Json root = document.root();
  CHECK(root.is(Kind::object));
  CHECK(root.size() == 8);
  CHECK(root.at("n").is(Kind::null));
  CHECK(root.at("b").boolean());
  CHECK(root.at("i").integer() == -3);
  CHECK(root.at("i").number() == -3);
  CHECK(root.at("u").count() == ~0ull);
  CHECK(root.at("u").number() == 0x1p64);
  CHECK(root.at("d").number() == 25);
  CHECK(root.at("s").string() == "a\xc3\xa9\n");
  CHECK(root.at("o").at("").integer() == 1);
  CHECK(!root.find("none"));
  std::string kinds;
  for (const Json element : root.at("a")) kinds += std::to_string(static_cast<int>(element.kind()));
  CHECK(kinds == "256");
  std::string keys;
  for (const Json member : root) keys += member.key();
  CHECK(keys == "nbiudsao");
  CHECK(parse("[]").root().size() == 0);
  CHECK(parse("7").root().integer() == 7);
}

TEST_CASE("JSON values know their pointers") {
  const JsonDocument document = parse(R"({"a/b":[0,{"~":[[5]]}],"z":1})");
  const Json list = document.root().at("a/b");
  CHECK(document.root().pointer().empty());
  CHECK(list.pointer() == "/a~1b");
  const Json inner = (*++list.begin()).at("~");
  CHECK((*(*inner.begin()).begin()).pointer() == "/a~1b/1/~0/0/0");
  CHECK(document.root().at("z").pointer() == "/z");
}

TEST_CASE("JSON accessors refuse other types at the value's pointer") {
  const JsonDocument document = parse(R"({"s":"x","i":-1,"u":9223372036854775808,"d":1.0})");
  const Json root = document.root();
  const auto fails = [](auto call, ErrorCode code, std::string_view pointer) {
    test::expect_error(call, code, pointer);
  };
  fails([&] { root.at("s").integer(); }, ErrorCode::wrong_type, "/s");
  fails([&] { root.at("s").number(); }, ErrorCode::wrong_type, "/s");
  fails([&] { root.at("s").begin(); }, ErrorCode::wrong_type, "/s");
  fails([&] { root.at("s").find("x"); }, ErrorCode::wrong_type, "/s");
  fails([&] { root.at("i").string(); }, ErrorCode::wrong_type, "/i");
  fails([&] { root.at("i").boolean(); }, ErrorCode::wrong_type, "/i");
  fails([&] { root.at("i").count(); }, ErrorCode::out_of_range, "/i");
  fails([&] { root.at("u").integer(); }, ErrorCode::out_of_range, "/u");
  fails([&] { root.at("d").integer(); }, ErrorCode::wrong_type, "/d");
  fails([&] { root.at("none"); }, ErrorCode::missing, "the top level");
}

TEST_CASE("malformed JSON is refused at the byte where reading stopped") {
  refused("", ErrorCode::malformed, "byte 0");
  refused("   ", ErrorCode::malformed, "byte 3");
  refused("{\"a\":1,}", ErrorCode::malformed, "byte 7");
  refused("[1,2", ErrorCode::malformed, "byte 4");
  refused("[1]]", ErrorCode::malformed, "byte 3");
  refused("[01]", ErrorCode::malformed, "byte 2");
  refused("[nan]", ErrorCode::malformed, "byte 2");
  refused("[1e400]", ErrorCode::malformed, "byte 5");
  refused("[\"\xed\xa0\x80\"]", ErrorCode::malformed, "byte 3");
  refused("[\"\\ud800\"]", ErrorCode::malformed, "byte 8");
  refused("\"a\nb\"", ErrorCode::malformed, "byte 2");
  refused(std::string_view("[1]\0", 4), ErrorCode::malformed, "byte 3");
  refused(std::string_view("[\"\0\"]", 5), ErrorCode::malformed, "byte 2");
  refused("[1] // note", ErrorCode::malformed, "byte 4");
  test::expect_error([] { parse_json("[", "test", {}, 100); }, ErrorCode::malformed, "byte 101");
}

TEST_CASE("duplicate keys are refused however they are spelt") {
  refused(R"({"a":1,"b":{"c":1,"d":2,"c":3}})", ErrorCode::duplicate, "/b/c");
  refused(R"({"ab":1,"\u0061b":2})", ErrorCode::duplicate, "/ab");
  CHECK(parse(R"([{"a":1},{"a":{"a":2}}])").root().size() == 2);
}

TEST_CASE("JSON limits") {
  Limits limits;
  limits.json_depth = 3;
  CHECK(parse_json("[[[]],[[]]]", "test", limits).root().size() == 2);
  refused("[[[[]]]]", ErrorCode::limit, "byte 3", limits);
  CHECK(parse_json("\"[[[[\"", "test", limits).root().string() == "[[[[");
  limits.json_bytes = 5;
  CHECK_NOTHROW(parse_json("[1,2]", "test", limits));
  refused("[1,23]", ErrorCode::limit, "byte 0", limits);
}

TEST_CASE("JSON from a file") {
  const test::TempFolder folder;
  const auto path = folder.write("a.json", "{\"a\":[]}");
  CHECK(read_json(path).root().at("a").is(Kind::array));
  Limits limits;
  limits.json_bytes = 7;
  const Error error = test::expect_error([&] { read_json(path, limits); }, ErrorCode::limit, "byte 0");
  CHECK(error.source() == path.string());
  test::expect_error([&] { read_json(folder.path()); }, ErrorCode::not_a_file, "");
  test::expect_error([&] { read_json(folder.path() / "none"); }, ErrorCode::io, "");
}
