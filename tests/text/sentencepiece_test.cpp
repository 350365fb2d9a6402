// Tokenizers from tokenizer.model: the same ids as from the other containers, added tokens, bad files.
// Malformed cases carry the checklist's numbers.
#include <limits>

#include "nibble/text/tokenizer.hpp"
#include "support/expect_error.hpp"
#include "support/sentencepiece_file.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using nlohmann::json;
using Ids = std::vector<TokenId>;

namespace {

constexpr EncodeOptions plain = {.add_special = false};
constexpr EncodeOptions parsed = {.add_special = false, .parse_special = true};

Tokenizer make(const std::string& model, const json& config = nullptr) {
  const test::TempFolder folder;
  if (!config.is_null()) folder.write("tokenizer_config.json", config.dump());
  return Tokenizer::open(folder.write("tokenizer.model", model));
}

// The file is refused at a byte.
void refused(const std::string& model, ErrorCode code, std::size_t byte, std::string_view field) {
  const test::TempFolder folder;
  const auto path = folder.write("tokenizer.model", model);
  const Error error =
      test::expect_error([&] { Tokenizer::from_sentencepiece(path); }, code, "byte " + std::to_string(byte));
  CHECK(error.source() == path.string());
  CHECK(error.field() == field);
}

void config_refused(const json& added, ErrorCode code, const std::string& pointer) {
  test::expect_error([&] { make(test::spm_model(), {{"added_tokens_decoder", added}}); }, code, pointer);
}

std::string with_trainer(const std::string& fields) {
  return test::spm_pieces() + test::bytes_field(2, test::number_field(3, 2) + fields) +
         test::normalizer_field();
}
std::string with_normalizer(const std::string& fields) {
  return test::spm_pieces() + test::trainer_field() + test::bytes_field(3, test::number_field(4, 0) + fields);
}
// Where the first field of the last submessage lies in `model`, given the bytes of that submessage.
std::size_t last(const std::string& model, const std::string& fields) { return model.size() - fields.size(); }

}  // namespace

TEST_CASE("tokenizer.model gives the ids of the same tokenizer as GGUF") {
  const Tokenizer model = make(test::spm_model());
  const Tokenizer gguf = Tokenizer::from_gguf(test::as_metadata(test::spm_keys()));
  CHECK(model.size() == gguf.size());
  CHECK(model.adds_bos());
  CHECK(model.adds_space_prefix());
  CHECK(std::vector(model.ends().begin(), model.ends().end()) ==
        std::vector(gguf.ends().begin(), gguf.ends().end()));
  for (const char* text : {"", " ", "hello world", "aaaaaaa  hello\n\nworld", "ü é 世 <|im_end|> x", "  a"}) {
    INFO(text);
    CHECK(model.encode(text) == gguf.encode(text));
    CHECK(model.encode(text, parsed) == gguf.encode(text, parsed));
    CHECK(model.decode(gguf.encode(text)) == text);
  }
  for (TokenId id = 0; model.size() > static_cast<std::uint32_t>(id); ++id)
    CHECK(model.kind(id) == gguf.kind(id));
}

TEST_CASE("Fields may come in any order, unknown ones are skipped") {
  const std::string unknown = test::number_field(4, 7) + test::float_field(900, 1) +
                              test::bytes_field(5, "x") + test::varint(7 << 3 | 1) + "12345678";
  const Tokenizer t = make(unknown + test::normalizer_field() + test::trainer_field() + test::spm_pieces());
  CHECK(t.encode("hello") == make(test::spm_model()).encode("hello"));
}

TEST_CASE("A model without dummy prefix puts no space in front") {
  const Tokenizer t = make(test::spm_pieces() + test::trainer_field() + test::normalizer_field(false));
  CHECK(!t.adds_space_prefix());
  CHECK(t.encode("he", plain) == Ids{*t.find("he")});
  CHECK(t.decode(t.encode(" hello")) == " hello");
}

TEST_CASE("Without byte tokens neighbouring unknown characters are one unknown token") {
  const std::string pieces =
      test::piece_field("<unk>", 0, 2) + test::piece_field("▁", -1, 1) + test::piece_field("a", -2, 1);
  const std::string no_ends = test::number_field(41, -1) + test::number_field(42, -1);
  const Tokenizer t =
      make(pieces + test::bytes_field(2, test::number_field(3, 2) + no_ends) + test::normalizer_field());
  CHECK(!t.bos());
  CHECK(!t.eos());
  CHECK(t.encode("axyza") == Ids{1, 2, 0, 2});
}

TEST_CASE("tokenizer_config.json adds tokens to a tokenizer.model") {
  const json end = {{"content", "<|end|>"}, {"rstrip", true}, {"special", true}};
  const json tool = {{"content", "<call>"}, {"special", false}, {"normalized", true}};
  const json decoder = {{"290", tool}, {"284", end}, {"2", {{"content", "</s>"}, {"special", true}}}};
  const Tokenizer t = make(test::spm_model(), {{"added_tokens_decoder", decoder}, {"eos_token", "<|end|>"}});
  CHECK(t.size() == 291);
  CHECK(t.kind(284) == TokenKind::control);
  CHECK(t.kind(287) == TokenKind::unused);
  CHECK(t.kind(290) == TokenKind::user_defined);
  CHECK(t.eos() == 284);
  CHECK(t.is_end(284));
  const Ids hello = t.encode("hello", plain);
  Ids expected = {284};
  expected.insert(expected.end(), hello.begin(), hello.end());
  expected.push_back(290);
  CHECK(t.encode("<|end|> \n hello<call>", parsed) == expected);  // the white space goes with the token
  CHECK(t.encode("<call>", plain) == Ids{290});
  CHECK(t.encode("<|end|>", plain) != Ids{284});
}

TEST_CASE("legacy says whether a space goes in front of what follows an added token") {
  const auto prefixed = [](json config) {
    const Tokenizer t = make(test::spm_model(), config);
    return t.encode("<|im_end|>hello", parsed).back() == *t.find("▁hello");
  };
  CHECK(prefixed(nullptr));
  CHECK(prefixed({{"legacy", true}}));
  CHECK_FALSE(prefixed({{"legacy", false}}));
}

TEST_CASE("config.json names the ends where generation_config.json is missing") {
  const test::TempFolder folder;
  folder.write("tokenizer.model", test::spm_model());
  folder.write("config.json", R"({"eos_token_id": [2, 100]})");
  CHECK(Tokenizer::open(folder.path()).is_end(100));
  folder.write("generation_config.json", R"({"eos_token_id": 101})");
  CHECK(Tokenizer::open(folder.path()).is_end(101));
  CHECK_FALSE(Tokenizer::open(folder.path()).is_end(100));
}

TEST_CASE("Every truncation of a tokenizer.model is refused or means something else") {
  const std::string whole = test::spm_model();
  const test::TempFolder folder;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("tokenizer.model", whole.substr(0, size));
    try {
      Tokenizer::from_sentencepiece(path);
      FAIL("no error at " << size);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal || error.source() != path.string()) FAIL("at " << size);
    }
  }
}

TEST_CASE("A tokenizer.model that breaks the wire format is refused at its byte") {
  const std::string eleven(11, '\xFF');
  refused(std::string("\x08") + eleven, ErrorCode::malformed, 1, "varint");
  refused("\x08" + std::string(9, '\xFF') + "\x02", ErrorCode::malformed, 1, "varint");
  refused(std::string("\x00\x00", 2), ErrorCode::malformed, 0, "field number");
  refused(test::varint(std::uint64_t{1} << 35), ErrorCode::malformed, 0, "field number");
  refused("\x0B", ErrorCode::unsupported, 0, "wire type");
  refused("\x0F", ErrorCode::unsupported, 0, "wire type");
  refused(
      "\x0A\x05"
      "abc",
      ErrorCode::truncated, 2, "bytes");
  refused("\x0A" + test::varint(~0ull), ErrorCode::truncated, 11, "bytes");
  refused(
      "\x25"
      "abc",
      ErrorCode::truncated, 1, "32 bits");
  refused(test::number_field(1, 7), ErrorCode::wrong_type, 0, "piece");
  refused(test::bytes_field(1, test::number_field(1, 7)), ErrorCode::wrong_type, 2, "piece");
  refused(test::bytes_field(1, test::number_field(2, 7)), ErrorCode::wrong_type, 2, "score");
  refused(test::bytes_field(1, test::bytes_field(3, "")), ErrorCode::wrong_type, 2, "type");
  refused("", ErrorCode::missing, 0, "pieces");
  refused(test::trainer_field(), ErrorCode::missing, 0, "pieces");
  refused("IQ== 0\nIg== 1\n", ErrorCode::missing, 0, "pieces");  // another library's file of that name
}

TEST_CASE("malformed 50 to 55 in a tokenizer.model: pieces, bytes, special ids, scores") {
  const std::string all = test::spm_pieces(), rest = test::trainer_field() + test::normalizer_field();
  const auto also = [&](std::string_view text, float score, int type) {
    return all + test::piece_field(text, score, type) + rest;
  };
  refused(also("he", 0, 1), ErrorCode::duplicate, all.size(), "piece");
  refused(also("", 0, 1), ErrorCode::malformed, all.size(), "piece");
  refused(also("\xFF", 0, 1), ErrorCode::malformed, all.size(), "piece");
  refused(also("<0x0a>", 0, 6), ErrorCode::malformed, all.size(), "byte token");
  refused(also("<0x-1>", 0, 6), ErrorCode::malformed, all.size(), "byte token");
  refused(also("<unk2>", 0, 2), ErrorCode::malformed, all.size(), "unknown token");
  refused(also("zz", std::numeric_limits<float>::quiet_NaN(), 1), ErrorCode::out_of_range, all.size(),
          "score");
  refused(also(std::string(2'000, 'x'), 0, 4), ErrorCode::limit, all.size(), "piece");
  for (const std::int64_t type : {0, 7, -1}) {
    const std::string bad = test::bytes_field(1, test::bytes_field(1, "zz") + test::number_field(3, type));
    refused(all + bad + rest, ErrorCode::out_of_range, all.size() + bad.find('\x18') + 1, "type");
  }

  for (const std::int64_t id : {std::int64_t{284}, std::int64_t{0x7FFFFFFF}}) {
    for (const unsigned field : {41u, 42u}) {
      const std::string fields = test::number_field(field, id), model = with_trainer(fields);
      refused(model, ErrorCode::out_of_range, last(model, fields + test::normalizer_field()),
              field == 41 ? "bos_id" : "eos_id");
    }
  }

  const test::TempFolder folder;
  std::string missing = all;
  missing.replace(missing.find("<0x41>"), 6, "<0x41)");
  missing[missing.find("<0x41)") + 6 + 5 + 1] = 1;  // its type
  const Error error = test::expect_error(
      [&] { Tokenizer::from_sentencepiece(folder.write("tokenizer.model", missing + rest)); },
      ErrorCode::missing, "");
  CHECK(error.found() == "no token for byte 65");
  Limits limits;
  limits.vocabulary = 283;
  test::expect_error(
      [&] { Tokenizer::from_sentencepiece(folder.write("a.model", all + rest), {}, {}, limits); },
      ErrorCode::limit, "byte " + std::to_string(all.rfind("\x0A", all.find("<tool>") - 3)));
}

TEST_CASE("malformed 57 in a tokenizer.model: models and normalizers that this build does not know") {
  const std::string normalizer = test::normalizer_field();
  const auto trainer = [&](std::int64_t type) {
    return test::spm_pieces() + test::bytes_field(2, test::number_field(3, type)) + normalizer;
  };
  const std::size_t type_at = test::spm_pieces().size() + 2;
  for (const int type : {1, 3, 4}) refused(trainer(type), ErrorCode::unsupported, type_at, "model_type");
  refused(test::spm_pieces() + normalizer, ErrorCode::unsupported, 0,
          "model_type");  // unigram goes without saying
  const std::string suffix = test::number_field(24, 1), suffixed = with_trainer(suffix);
  refused(suffixed, ErrorCode::unsupported, last(suffixed, suffix + normalizer),
          "treat_whitespace_as_suffix");

  const std::string charsmap = test::bytes_field(2, "ALQCAACEAAA"), mapped = with_normalizer(charsmap);
  refused(mapped, ErrorCode::unsupported, last(mapped, charsmap), "bytes of precompiled_charsmap");
  const std::string removes = test::number_field(4, 1), removing = with_normalizer(removes);
  refused(removing, ErrorCode::unsupported, last(removing, removes), "remove_extra_whitespaces");
  const std::string escapes = test::number_field(5, 0), bare = with_normalizer(escapes);
  refused(bare, ErrorCode::unsupported, last(bare, escapes), "escape_whitespaces");
  refused(test::spm_pieces() + test::trainer_field(), ErrorCode::unsupported, 0, "remove_extra_whitespaces");
}

TEST_CASE("malformed 50, 60: added tokens of tokenizer_config.json that make no sense") {
  const json token = {{"content", "<new>"}};
  for (const char* id : {"", "x", "-1", "284x", "0x11c", "99999999999"}) {
    config_refused({{id, token}}, ErrorCode::malformed, "/added_tokens_decoder/" + std::string(id));
  }
  config_refused({{"2000000000", token}}, ErrorCode::limit, "/added_tokens_decoder/2000000000");
  config_refused({{"7", token}}, ErrorCode::duplicate, "/added_tokens_decoder/7/content");
  config_refused({{"284", {{"content", "he"}}}}, ErrorCode::duplicate, "/added_tokens_decoder/284");
  config_refused({{"284", {{"content", ""}}}}, ErrorCode::malformed, "/added_tokens_decoder/284/content");
  config_refused({{"284", {{"content", std::string(2'000, 'x')}}}}, ErrorCode::limit,
                 "/added_tokens_decoder/284/content");
  config_refused({{"284", json::object()}}, ErrorCode::missing, "/added_tokens_decoder/284");
  config_refused({{"284", "<new>"}}, ErrorCode::wrong_type, "/added_tokens_decoder/284");
}
