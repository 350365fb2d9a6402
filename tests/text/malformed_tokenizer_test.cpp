// Malformed tokenizers, numbered as in the checklist of hostile inputs: exact code, exact place.
#include <limits>

#include "nibble/text/tokenizer.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;
using nlohmann::json;
using test::Keys;

namespace {

using Strings = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;

template <class T>
std::vector<T>& array(Keys& keys, const char* key) {
  return std::get<std::vector<T>>(keys.at(key));
}

// The keys are refused at one of them.
void refused(const Keys& keys, ErrorCode code, const std::string& key) {
  const Error error = test::expect_error([&] { Tokenizer::from_gguf(test::as_metadata(keys)); }, code,
                                         keys.contains(key) ? "at " + key : "");
  CHECK(error.source() == "tiny.gguf");
  CHECK(error.field() == key);
}

// tokenizer.json is refused at a pointer.
void refused(const json& document, ErrorCode code, const std::string& pointer) {
  const test::TempFolder folder;
  const auto path = folder.write("tokenizer.json", document.dump());
  const Error error = test::expect_error([&] { Tokenizer::from_json(path); }, code, pointer);
  CHECK(error.source() == path.string());
}

// A file beside a sound tokenizer.json is refused at a pointer.
void config_refused(const json& config, ErrorCode code, const std::string& pointer, bool generation) {
  const test::TempFolder folder;
  const auto tokenizer = folder.write("tokenizer.json", test::spm_json().dump());
  const auto path = folder.write("config.json", config.dump());
  const std::filesystem::path none;
  const Error error = test::expect_error(
      [&] { Tokenizer::from_json(tokenizer, generation ? none : path, generation ? path : none); }, code,
      pointer);
  CHECK(error.source() == path.string());
}

const char* const tokens = "tokenizer.ggml.tokens";
const char* const scores = "tokenizer.ggml.scores";
const char* const types = "tokenizer.ggml.token_type";
const char* const merges = "tokenizer.ggml.merges";

json with(json document, const char* pointer, json value) {
  document[json::json_pointer(pointer)] = std::move(value);
  return document;
}

}  // namespace

TEST_CASE("The tiny tokenizers are sound to begin with") {
  CHECK_NOTHROW(Tokenizer::from_gguf(test::as_metadata(test::spm_keys())));
  CHECK_NOTHROW(Tokenizer::from_gguf(test::as_metadata(test::bpe_keys())));
  const test::TempFolder folder;
  CHECK_NOTHROW(Tokenizer::from_json(folder.write("a.json", test::spm_json().dump())));
  CHECK_NOTHROW(Tokenizer::from_json(folder.write("b.json", test::bpe_json().dump())));
}

TEST_CASE("malformed 50: ids too high, negative, fractional, twice") {
  const json j = test::bpe_json();
  refused(with(j, "/model/vocab/zz", 1ll << 31), ErrorCode::limit, "/model/vocab/zz");
  refused(with(j, "/model/vocab/zz", -1), ErrorCode::out_of_range, "/model/vocab/zz");
  refused(with(j, "/model/vocab/zz", 1.5), ErrorCode::wrong_type, "/model/vocab/zz");
  refused(with(j, "/model/vocab/🦙", 7), ErrorCode::duplicate, "/model/vocab/🦙");
  refused(with(j, "/added_tokens/0/id", 7), ErrorCode::duplicate, "/added_tokens/0/id");
  refused(with(j, "/added_tokens/0/id", 1ll << 31), ErrorCode::limit, "/added_tokens/0/id");
  refused(with(j, "/added_tokens/0/content", "a"), ErrorCode::duplicate, "/added_tokens/0/id");

  Keys twice = test::spm_keys();
  array<std::string>(twice, tokens)[265] = "he";
  refused(twice, ErrorCode::duplicate, tokens);
}

TEST_CASE("malformed 50: ids with gaps load") {
  const test::TempFolder folder;
  const auto path =
      folder.write("tokenizer.json", with(test::bpe_json(), "/model/vocab/zz", 1'000'000).dump());
  const Tokenizer t = Tokenizer::from_json(path);
  CHECK(t.size() == 1'000'001);
  CHECK(t.kind(999'999) == TokenKind::unused);
  CHECK(t.bytes(999'999).empty());
  Limits limits;
  limits.vocabulary = 1'000'000;
  test::expect_error([&] { Tokenizer::from_json(path, {}, {}, limits); }, ErrorCode::limit,
                     "/model/vocab/zz");
}

TEST_CASE("malformed 51: arrays of other lengths than the tokens") {
  Keys keys = test::spm_keys();
  array<double>(keys, scores).pop_back();
  refused(keys, ErrorCode::malformed, scores);
  keys = test::spm_keys();
  array<std::int64_t>(keys, types).push_back(1);
  refused(keys, ErrorCode::malformed, types);
  keys = test::bpe_keys();
  array<std::int64_t>(keys, types).clear();
  refused(keys, ErrorCode::malformed, types);
}

TEST_CASE("malformed 52: a merge whose parts or result are no tokens") {
  for (const char* merge : {"h zz", "zz h", "h w", "", "h", " ", "hh", "h  e"}) {
    INFO(merge);
    Keys keys = test::bpe_keys();
    array<std::string>(keys, merges)[3] = merge;
    refused(keys, ErrorCode::malformed, merges);
    refused(with(test::bpe_json(), "/model/merges/3", merge), ErrorCode::malformed, "/model/merges/3");
  }
  refused(with(test::bpe_json(), "/model/merges/3", {"h", "zz"}), ErrorCode::malformed, "/model/merges/3");
  refused(with(test::bpe_json(), "/model/merges/3", {"h"}), ErrorCode::malformed, "/model/merges/3");
  refused(with(test::bpe_json(), "/model/merges/3", {"h", 1}), ErrorCode::wrong_type, "/model/merges/3/1");
  refused(with(test::bpe_json(), "/model/merges/3", 1), ErrorCode::wrong_type, "/model/merges/3");
}

TEST_CASE("malformed 53: byte tokens misspelt or missing") {
  for (const char* text :
       {"<0x-1>", "<0xZZ>", "<0x1>", "<0x001>", "<0xff>", "<0x0A", "0x0A", "<0X0A>", "<0x+1>"}) {
    INFO(text);
    Keys keys = test::spm_keys();
    array<std::string>(keys, tokens)[3] = text;
    refused(keys, ErrorCode::malformed, tokens);
  }
  Keys keys = test::spm_keys();
  array<std::string>(keys, tokens)[100] = "other";
  array<std::int64_t>(keys, types)[100] = 1;
  refused(keys, ErrorCode::missing, tokens);

  json j = test::spm_json();
  j["model"]["vocab"].erase("<0x41>");
  refused(j, ErrorCode::missing, "/model/byte_fallback");
  for (unsigned byte = 0; byte < 256; ++byte) j["model"]["vocab"].erase(test::byte_token(byte));
  j["model"]["unk_token"] = nullptr;
  refused(j, ErrorCode::missing, "/model/byte_fallback");
  refused(with(test::spm_json(), "/model/unk_token", "<none>"), ErrorCode::missing, "/model/unk_token");

  const Keys helpless = {{"tokenizer.ggml.model", "llama"},
                         {tokens, Strings{"a"}},
                         {scores, std::vector<double>{0}},
                         {types, Integers{1}},
                         {"tokenizer.ggml.unknown_token_id", std::int64_t{4294967295}}};
  refused(helpless, ErrorCode::missing, tokens);
}

TEST_CASE("malformed 54: special ids outside the vocabulary") {
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                          "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.eot_token_id"}) {
    for (const std::int64_t id : {std::int64_t{284}, std::int64_t{1} << 40, std::int64_t{-1}}) {
      Keys keys = test::spm_keys();
      keys[key] = id;
      refused(keys, ErrorCode::out_of_range, key);
    }
  }
  const char* const ids = "/post_processor/special_tokens/<s>/ids/0";
  refused(with(test::spm_json(), ids, 99999), ErrorCode::out_of_range, ids);
  refused(with(test::spm_json(), ids, -1), ErrorCode::out_of_range, ids);
  config_refused({{"eos_token_id", 99999}}, ErrorCode::out_of_range, "/eos_token_id", true);
  config_refused({{"eos_token_id", {2, 99999}}}, ErrorCode::out_of_range, "/eos_token_id/1", true);
  config_refused({{"eos_token_id", "</s>"}}, ErrorCode::wrong_type, "/eos_token_id", true);
}

TEST_CASE("malformed 55: scores that are no numbers") {
  Keys keys = test::spm_keys();
  array<double>(keys, scores)[270] = std::numeric_limits<double>::quiet_NaN();
  refused(keys, ErrorCode::out_of_range, scores);
}

TEST_CASE("malformed 56: patterns in tokenizer.json outside the subset, too long, too slow") {
  const char* const regex = "/pre_tokenizer/pretokenizers/0/pattern/Regex";
  const auto split = [&](json pattern) {
    const json step = {
        {"type", "Split"}, {"pattern", {{"Regex", std::move(pattern)}}}, {"behavior", "Isolated"}};
    const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    return with(test::bpe_json(), "/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {step, bytes}}});
  };
  refused(split(R"((a)\1)"), ErrorCode::unsupported, regex);
  refused(split("(?R)"), ErrorCode::unsupported, regex);
  refused(split("(a"), ErrorCode::unsupported, regex);
  refused(split(""), ErrorCode::malformed, regex);
  refused(split(std::string(100'000, 'a')), ErrorCode::limit, regex);
  refused(split(7), ErrorCode::wrong_type, regex);

  const test::TempFolder folder;
  const auto path = folder.write("tokenizer.json", split("(a+)+[bc]").dump());
  const Tokenizer t = Tokenizer::from_json(path);
  CHECK(t.encode("aab").size() == 2);
  const Error error =
      test::expect_error([&] { (void)t.encode(std::string(1'000, 'a')); }, ErrorCode::limit, regex);
  CHECK(error.source() == path.string());
  CHECK(t.encode("aab").size() == 2);
}

TEST_CASE("malformed 57: a precompiled normalizer and other unknown steps are refused by name") {
  const json charsmap = {{"type", "Precompiled"},
                         {"precompiled_charsmap", "ALQCAACEAAAAAACAAQAAgMz8AgC4BQAA"}};
  refused(with(test::spm_json(), "/normalizer", charsmap), ErrorCode::unsupported, "/normalizer/type");
  refused(with(test::spm_json(), "/normalizer/normalizers/0", charsmap), ErrorCode::unsupported,
          "/normalizer/normalizers/0/type");
  refused(with(test::spm_json(), "/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a"}}}}),
          ErrorCode::unsupported, "/normalizer/pattern");
  refused(with(test::spm_json(), "/pre_tokenizer", {{"type", "Whitespace"}}), ErrorCode::unsupported,
          "/pre_tokenizer/type");
  refused(with(test::spm_json(), "/decoder", {{"type", "WordPiece"}}), ErrorCode::unsupported,
          "/decoder/type");
  refused(with(test::spm_json(), "/decoder/decoders/3/start", 2), ErrorCode::unsupported,
          "/decoder/decoders/3/start");
  refused(with(test::bpe_json(), "/decoder/type", "Metaspace"), ErrorCode::unsupported, "/decoder/type");
  refused(with(test::spm_json(), "/post_processor", {{"type", "BertProcessing"}}), ErrorCode::unsupported,
          "/post_processor/type");
  refused(with(test::bpe_json(), "/model/type", "Unigram"), ErrorCode::unsupported, "/model/type");
  refused(with(test::bpe_json(), "/model/dropout", 0.1), ErrorCode::unsupported, "/model/dropout");
  refused(with(test::bpe_json(), "/model/end_of_word_suffix", "</w>"), ErrorCode::unsupported,
          "/model/end_of_word_suffix");

  Keys keys = test::bpe_keys();
  keys["tokenizer.ggml.pre"] = "llama-9";
  const Error error = test::expect_error([&] { Tokenizer::from_gguf(test::as_metadata(keys)); },
                                         ErrorCode::unsupported, "at tokenizer.ggml.pre");
  CHECK(error.found() == "\"llama-9\"");
  CHECK(error.allowed().find("llama-bpe, llama3") != std::string_view::npos);
  keys = test::bpe_keys();
  keys["tokenizer.ggml.model"] = "t5";
  refused(keys, ErrorCode::unsupported, "tokenizer.ggml.model");
}

TEST_CASE("Normalizers and cuts without end, and texts that explode") {
  const json nfc = {{"type", "NFC"}}, digits = {{"type", "Digits"}};
  refused(with(test::spm_json(), "/normalizer/normalizers", json::array_t(65, nfc)), ErrorCode::limit,
          "/normalizer/normalizers/64");
  refused(with(test::spm_json(), "/pre_tokenizer",
               {{"type", "Sequence"}, {"pretokenizers", json::array_t(65, digits)}}),
          ErrorCode::limit, "/pre_tokenizer/pretokenizers/64");

  const json twice = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  const test::TempFolder folder;
  const Tokenizer t = Tokenizer::from_json(folder.write(
      "tokenizer.json", with(test::spm_json(), "/normalizer/normalizers", json::array_t(40, twice)).dump()));
  CHECK(!t.encode("b").empty());
  const Error error = test::expect_error([&] { (void)t.encode("a"); }, ErrorCode::limit, "");
  CHECK(error.field() == "normalizer");
}

TEST_CASE("malformed 58: a template that names a token nobody knows") {
  const char* const item = "/post_processor/single/0/SpecialToken/id";
  refused(with(test::spm_json(), item, "<cls>"), ErrorCode::missing, item);
  config_refused({{"bos_token", "<cls>"}, {"add_eos_token", true}}, ErrorCode::missing, "/add_eos_token",
                 false);
}

TEST_CASE("malformed 59: truncation to nothing, or with a stride that never advances") {
  const auto truncation = [](json length, json stride) {
    return with(test::bpe_json(), "/truncation",
                {{"max_length", std::move(length)}, {"stride", std::move(stride)}});
  };
  refused(truncation(0, 0), ErrorCode::out_of_range, "/truncation/max_length");
  refused(truncation(8, 8), ErrorCode::out_of_range, "/truncation/stride");
  refused(truncation(-1, 0), ErrorCode::out_of_range, "/truncation/max_length");
  const test::TempFolder folder;
  const Tokenizer t = Tokenizer::from_json(folder.write("tokenizer.json", truncation(8, 2).dump()));
  CHECK(t.encode("x y z x y z x y z").size() > 8);  // a prompt is never cut
}

TEST_CASE("malformed 60: added tokens that are empty or too long") {
  refused(with(test::bpe_json(), "/added_tokens/2/content", ""), ErrorCode::malformed,
          "/added_tokens/2/content");
  refused(with(test::bpe_json(), "/added_tokens/2/content", std::string(2'000, 'x')), ErrorCode::limit,
          "/added_tokens/2/content");
  json j = test::bpe_json();
  j["added_tokens"][2].erase("content");
  refused(j, ErrorCode::missing, "/added_tokens/2");

  Keys keys = test::bpe_keys();  // nothing can match it, and real files have such
  array<std::string>(keys, tokens).back() = "";
  CHECK_NOTHROW(Tokenizer::from_gguf(test::as_metadata(keys)));
  array<std::string>(keys, tokens).back() = std::string(2'000, 'x');
  refused(keys, ErrorCode::limit, tokens);
}

TEST_CASE("malformed 92: a prompt that is not UTF-8, or too long") {
  for (const bool spm : {true, false}) {
    const Tokenizer t = Tokenizer::from_gguf(test::as_metadata(spm ? test::spm_keys() : test::bpe_keys()));
    const Error error =
        test::expect_error([&] { (void)t.encode("héllo\xC3"); }, ErrorCode::invalid_argument, "byte 6");
    CHECK(error.field() == "text");
    test::expect_error([&] { (void)t.encode("\xED\xA0\x80"); }, ErrorCode::invalid_argument, "byte 0");
    Limits limits;
    limits.text_bytes = 10;
    const Tokenizer small =
        Tokenizer::from_gguf(test::as_metadata(spm ? test::spm_keys() : test::bpe_keys()), limits);
    CHECK_NOTHROW(small.encode("0123456789"));
    test::expect_error([&] { (void)small.encode("0123456789a"); }, ErrorCode::limit, "");
  }
}

TEST_CASE("Keys missing, of the wrong type, or with values that mean nothing") {
  for (const char* key : {"tokenizer.ggml.model", tokens, scores}) {
    Keys keys = test::spm_keys();
    keys.erase(key);
    refused(keys, ErrorCode::missing, key);
    keys[key] = true;
    refused(keys, ErrorCode::wrong_type, key);
  }
  Keys keys = test::bpe_keys();
  keys.erase(merges);
  refused(keys, ErrorCode::missing, merges);
  keys = test::bpe_keys();
  array<std::int64_t>(keys, types)[5] = 7;
  refused(keys, ErrorCode::out_of_range, types);
  keys = test::bpe_keys();
  array<std::string>(keys, tokens)[5] = "\xC3";
  refused(keys, ErrorCode::malformed, tokens);
  keys = test::bpe_keys();
  keys["tokenizer.chat_template"] = "\xC3";
  refused(keys, ErrorCode::malformed, "tokenizer.chat_template");
  keys = test::bpe_keys();
  keys.erase("tokenizer.ggml.bos_token_id");
  keys["tokenizer.ggml.add_bos_token"] = true;
  refused(keys, ErrorCode::missing, "tokenizer.ggml.add_bos_token");

  Limits limits;
  limits.vocabulary = 10;
  test::expect_error([&] { Tokenizer::from_gguf(test::as_metadata(test::bpe_keys()), limits); },
                     ErrorCode::limit, std::string("at ") + tokens);

  json j = test::bpe_json();
  j.erase("model");
  refused(j, ErrorCode::missing, "the top level");
  refused(json::array(), ErrorCode::wrong_type, "the top level");
  for (const char* key : {"vocab", "merges"}) {
    json k = test::bpe_json();
    k["model"].erase(key);
    refused(k, ErrorCode::missing, "/model");
  }
  config_refused({{"chat_template", 7}}, ErrorCode::wrong_type, "/chat_template", false);
  config_refused({{"add_bos_token", 7}}, ErrorCode::wrong_type, "/add_bos_token", false);
}
