// Tokenizers from tokenizer.json: what its steps mean, and the files beside it.
#include "nibble/file/checkpoint.hpp"
#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;
using nlohmann::json;
using Ids = std::vector<TokenId>;
using Texts = std::vector<std::string>;

namespace {

constexpr EncodeOptions plain = {.add_special = false};
constexpr EncodeOptions parsed = {.add_special = false, .parse_special = true};

Tokenizer make(const json& document, const json& config = nullptr, const json& generation = nullptr) {
  const test::TempFolder folder;
  const auto write = [&](const char* name, const json& content) {
    return content.is_null() ? std::filesystem::path() : folder.write(name, content.dump());
  };
  return Tokenizer::from_json(write("tokenizer.json", document), write("config.json", config),
                              write("generation.json", generation));
}

Texts pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = plain) {
  Texts out;
  for (const TokenId id : tokenizer.encode(text, options)) out.emplace_back(tokenizer.text(id));
  return out;
}

// The character-level tokenizer without normalizer, with these pre-tokenizers, and their cuts made visible.
Texts cuts(json steps, std::string_view text) {
  json j = test::bpe_json();
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  j["model"]["ignore_merges"] = true;
  return pieces(make(j), text);
}

json split(json pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", std::move(pattern)}, {"behavior", behavior}, {"invert", invert}};
}

}  // namespace

TEST_CASE("Both containers give the same ids for the same tokenizer") {
  const Tokenizer json_spm = make(test::spm_json()), json_bpe = make(test::bpe_json());
  test::Keys keys = test::bpe_keys();
  keys["tokenizer.ggml.pre"] = "gpt-2";
  const Tokenizer spm = Tokenizer::from_gguf(test::as_metadata(test::spm_keys()));
  const Tokenizer bpe = Tokenizer::from_gguf(test::as_metadata(keys));
  for (const char* text :
       {"", " ", "hello world", "aaaaaaa  hello\n\nworld <tool> x", "ü é 世 <|im_end|>", "  a"}) {
    INFO(text);
    CHECK(json_spm.encode(text) == spm.encode(text));
    CHECK(json_spm.encode(text, parsed) == spm.encode(text, parsed));
    CHECK(json_bpe.encode(text) == bpe.encode(text));
    CHECK(json_spm.decode(spm.encode(text), true) == spm.decode(spm.encode(text), true));
  }
  CHECK(json_spm.adds_bos());
  CHECK(!json_bpe.adds_bos());
  for (TokenId id = 0; id < static_cast<TokenId>(spm.size()); ++id) CHECK(json_spm.kind(id) == spm.kind(id));
}

TEST_CASE("Merges are strings or pairs") {
  json j = test::bpe_json();
  for (json& merge : j["model"]["merges"]) {
    const std::string text = merge;
    merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
  }
  CHECK(pieces(make(j), "hello aaaa") == Texts{"hello", "Ġ", "aaaa"});
}

TEST_CASE("Splits behave as named") {
  const json a = {{"String", "e"}}, letters = {{"Regex", "[ho]+"}};
  CHECK(cuts(json::array({split(a, "Isolated")}), "hello") == Texts{"h", "e", "ll", "o"});
  CHECK(cuts(json::array({split(a, "Removed")}), "hello") == Texts{"h", "ll", "o"});
  CHECK(cuts(json::array({split(a, "MergedWithPrevious")}), "hello") == Texts{"he", "ll", "o"});
  CHECK(cuts(json::array({split(a, "MergedWithNext")}), "ehhe") == Texts{"e", "h", "h", "e"});
  CHECK(cuts(json::array({split(letters, "Removed", true)}), "hello") == Texts{"h", "o"});
  CHECK(cuts(json::array({split({{"String", "l"}}, "Contiguous")}), "hello") == Texts{"he", "ll", "o"});
  CHECK(cuts(json::array({split({{"String", "l"}}, "Isolated")}), "hello") == Texts{"he", "l", "l", "o"});
  CHECK(cuts(json::array({split({{"String", "."}}, "Isolated")}), "he.") == Texts{"he", "."});
}

TEST_CASE("Digits are cut one by one or together") {
  const auto digits = [](bool individual) {
    return json::array(
        {{{"type", "Digits"}, {"individual_digits", individual}}, split({{"String", "he"}}, "Isolated")});
  };
  CHECK(cuts(digits(true), "he12he") == Texts{"he", "1", "2", "he"});
  json j = test::bpe_json();
  j["model"]["vocab"]["12"] = 900;
  j["model"]["merges"].push_back("1 2");
  j["pre_tokenizer"] = {{"type", "Sequence"},
                        {"pretokenizers",
                         {{{"type", "Digits"}, {"individual_digits", false}},
                          {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}};
  CHECK(pieces(make(j), "a12") == Texts{"a", "12"});
}

TEST_CASE("ByteLevel may put a space in front of each fragment") {
  json j = test::bpe_json();
  j["pre_tokenizer"] = {{"type", "ByteLevel"}};
  const Tokenizer t = make(j);
  CHECK(pieces(t, "wor") == Texts{"Ġwor"});
  CHECK(pieces(t, " wor") == Texts{"Ġwor"});
  CHECK(pieces(t, "wor<tool>wor") == Texts{"Ġwor", "<tool>", "Ġwor"});
  CHECK(pieces(t, "").empty());
}

TEST_CASE("Metaspace marks spaces, and the beginning as its scheme says") {
  json j = test::spm_json();
  j["normalizer"] = nullptr;
  const auto with_scheme = [&](const char* scheme, bool cut) {
    j["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", cut}};
    return make(j);
  };
  CHECK(pieces(with_scheme("always", false), "hello<tool>hello") == Texts{"▁hello", "<tool>", "▁hello"});
  CHECK(pieces(with_scheme("first", false), "hello<tool>hello") == Texts{"▁hello", "<tool>", "he", "llo"});
  CHECK(pieces(with_scheme("first", false), "<tool>hello") == Texts{"<tool>", "he", "llo"});
  CHECK(pieces(with_scheme("never", false), "hello  a") == Texts{"he", "llo", "▁▁", "a"});
  CHECK(pieces(with_scheme("never", true), "hello  a") == Texts{"he", "llo", "▁", "▁", "a"});
  CHECK(pieces(with_scheme("always", false), " hello") == Texts{"▁hello"});  // one mark is enough
}

TEST_CASE("Normalizers compose and replace, and find normalized added tokens") {
  json j = test::bpe_json();
  j["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "NFC"}}, {{"type", "Replace"}, {"pattern", {{"String", "x"}}}, {"content", "hello"}}}}};
  j["added_tokens"][2]["normalized"] = true;
  j["added_tokens"][2]["content"] = "[e\u0301]";
  const Tokenizer t = make(j);
  CHECK(pieces(t, "e\u0301x") == Texts{"Ã©", "hello"});
  CHECK(pieces(t, "a[é]a[e\u0301]") == Texts{"a", "[e\u0301]", "a", "[e\u0301]"});
  CHECK(t.bytes(*t.find("[e\u0301]")) == "[e\u0301]");
}

TEST_CASE("NFC is Unicode's, also for marks in any number and order") {
  json j = test::bpe_json();
  j["normalizer"] = {{"type", "NFC"}};
  const Tokenizer t = make(j);
  const auto composed = [&](std::string_view text) { return t.decode(t.encode(text)); };
  CHECK(composed("\u1112\u1161\u11ab") == "한");
  CHECK(composed("q\u0307\u0323") == "q\u0323\u0307");
  CHECK(composed("s\u0307\u0323") == "ṩ");
  CHECK(composed("\u212B\u2126") == "ÅΩ");
  CHECK(composed("\u0958") == "\u0915\u093C");  // excluded from composition
  std::string marks = "a", ordered = "a";
  for (int i = 0; i < 50'000; ++i) marks += "\u0301\u0323";
  for (int i = 0; i < 50'000; ++i) ordered += "\u0323";
  for (int i = 0; i < 50'000; ++i) ordered += "\u0301";
  CHECK(composed(marks) == "ạ" + ordered.substr(3));
}

TEST_CASE("Added tokens strip white space and stand alone as flagged") {
  json j = test::bpe_json();
  j["added_tokens"][2]["lstrip"] = true;
  CHECK(pieces(make(j), "a \u3000\n<tool> a") == Texts{"a", "<tool>", "Ġ", "a"});
  CHECK(pieces(make(j), " <tool> <tool>") == Texts{"<tool>", "<tool>"});
  j["added_tokens"][2]["rstrip"] = true;
  CHECK(pieces(make(j), "a <tool> \t a") == Texts{"a", "<tool>", "a"});
  j = test::bpe_json();
  j["added_tokens"][2]["content"] = "he";
  j["added_tokens"][2]["id"] = 256;
  j["added_tokens"][2]["single_word"] = true;
  j["model"]["merges"] = json::array();
  CHECK(pieces(make(j), "he hex éhe (he)") ==
        Texts{"he", "Ġ", "h", "e", "x", "Ġ", "Ã", "©", "h", "e", "Ġ", "(", "he", ")"});
}

TEST_CASE("Characters without a token become bytes, unknown tokens, or nothing, as the model says") {
  json j = test::spm_json();
  CHECK(pieces(make(j), "aüü") == Texts{"▁", "a", "<0xC3>", "<0xBC>", "<0xC3>", "<0xBC>"});
  j["model"]["byte_fallback"] = false;
  CHECK(pieces(make(j), "aüüaü") == Texts{"▁", "a", "<unk>", "a", "<unk>"});
  j["model"]["fuse_unk"] = false;
  CHECK(pieces(make(j), "aüü") == Texts{"▁", "a", "<unk>", "<unk>"});
  j["model"]["unk_token"] = nullptr;
  CHECK(pieces(make(j), "aüü") == Texts{"▁", "a"});
}

TEST_CASE("Post-processors put tokens around the text; the config overrules them") {
  json j = test::spm_json();
  j["post_processor"]["single"].push_back({{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}});
  j["post_processor"]["special_tokens"]["</s>"] = {{"id", "</s>"}, {"ids", {2}}, {"tokens", {"</s>"}}};
  CHECK(make(j).encode("") == Ids{1, 2});
  CHECK(make(j).bos() == 1);
  CHECK(make(j).eos() == 2);
  const json names = {{"bos_token", "<s>"}, {"eos_token", {{"content", "</s>"}, {"lstrip", false}}}};
  json config = names;
  config["add_bos_token"] = false;
  CHECK(make(j, config).encode("") == Ids{2});
  CHECK(!make(j, config).adds_bos());
  config["add_eos_token"] = false;
  CHECK(make(j, config).encode("").empty());
  CHECK(make(j, config).eos() == 2);
  j["post_processor"] = nullptr;
  CHECK(make(j, names).encode("").empty());
  config = names;
  config["add_bos_token"] = config["add_eos_token"] = true;
  CHECK(make(j, config).encode("") == Ids{1, 2});
  CHECK(make(j, {{"bos_token", nullptr}, {"eos_token", "<none>"}}).eos() == std::nullopt);
}

TEST_CASE("Ends come from the config, the generation config and the known texts") {
  const Tokenizer t = make(test::bpe_json(), {{"eos_token", "o"}}, {{"eos_token_id", {104, 101}}});
  CHECK(t.is_end(*t.find("o")));
  CHECK(t.is_end(104));
  CHECK(t.is_end(101));
  CHECK(t.is_end(*t.find("<|end|>")));
  CHECK(t.ends().size() == 4);
  CHECK(make(test::bpe_json(), nullptr, {{"eos_token_id", 104}}).eos() == 104);
  json gpt2 = test::bpe_json();  // one token for everything
  gpt2["added_tokens"][1]["content"] = gpt2["model"]["unk_token"] = "<|endoftext|>";
  CHECK(make(gpt2).is_end(*make(gpt2).find("<|endoftext|>")));
}

TEST_CASE("Chat templates are a text, a list of named ones, or files beside the tokenizer") {
  using Templates = std::map<std::string, std::string, std::less<>>;
  const json j = test::bpe_json();
  const json list = {{{"name", "rag"}, {"template", "R"}}, {{"name", "default"}, {"template", "D"}}};
  CHECK(make(j, {{"chat_template", "T"}}).chat_templates() == Templates{{"default", "T"}});
  CHECK(make(j, {{"chat_template", list}}).chat_templates() == Templates{{"default", "D"}, {"rag", "R"}});
  CHECK(make(j, {{"chat_template", json::array()}}).chat_templates().empty());
  const test::TempFolder folder;
  const auto path = folder.write("tokenizer.json", j.dump());
  const auto config = folder.write("tokenizer_config.json", json{{"chat_template", list}}.dump());
  const std::filesystem::path more = folder.path() / "additional_chat_templates";
  std::filesystem::create_directory(more);
  folder.write("additional_chat_templates/README.md", "none");
  CHECK(Tokenizer::from_json(path, config).chat_templates().size() == 2);
  folder.write("additional_chat_templates/tool_use.jinja", "U");
  CHECK(Tokenizer::from_json(path, config).chat_templates() == Templates{{"tool_use", "U"}});
  folder.write("chat_template.jinja", "F");
  CHECK(Tokenizer::from_json(path, config).chat_templates() ==
        Templates{{"default", "F"}, {"tool_use", "U"}});
  for (int i = 0; i < 64; ++i) folder.write("additional_chat_templates/" + std::to_string(i) + ".jinja", "M");
  test::expect_error([&] { Tokenizer::from_json(path, config); }, ErrorCode::limit, "");
}

TEST_CASE("A folder's tokenizer is loaded with the files beside it") {
  const test::TempFolder folder;
  Checkpoint checkpoint;
  checkpoint.container = Container::safetensors;
  checkpoint.folder = folder.path();
  try {
    Tokenizer::load(checkpoint);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::missing);
    CHECK(error.field() == "tokenizer.json");
    CHECK(error.source() == folder.path().string());
  }
  folder.write("tokenizer.json", test::spm_json().dump());
  CHECK(!Tokenizer::load(checkpoint).is_end(100));
  folder.write("tokenizer_config.json", R"({"eos_token": "</s>", "chat_template": "T"})");
  folder.write("generation_config.json", R"({"eos_token_id": [100]})");
  const Tokenizer t = Tokenizer::load(checkpoint);
  CHECK(t.eos() == 2);
  CHECK(t.is_end(100));
  CHECK(t.chat_templates().at("default") == "T");

  Checkpoint gguf;
  gguf.metadata = test::as_metadata(test::spm_keys());
  CHECK(Tokenizer::load(gguf).encode("hello", plain) == t.encode("hello", plain));
}
