// Tokenizers from GGUF metadata: what the keys mean, and unusual files that must load.
#include <limits>

#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;
using test::Keys;
using Ids = std::vector<TokenId>;
using Texts = std::vector<std::string>;

namespace {

Tokenizer make(const Keys& keys) { return Tokenizer::from_gguf(test::as_metadata(keys)); }

constexpr EncodeOptions plain = {.add_special = false};
constexpr EncodeOptions parsed = {.add_special = false, .parse_special = true};

Texts pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = plain) {
  Texts out;
  for (const TokenId id : tokenizer.encode(text, options)) out.emplace_back(tokenizer.text(id));
  return out;
}

template <class T>
std::vector<T>& array(Keys& keys, const char* key) {
  return std::get<std::vector<T>>(keys.at(key));
}

}  // namespace

TEST_CASE("SPM-BPE merges the best score first, across words, and falls back to bytes") {
  const Tokenizer t = make(test::spm_keys());
  CHECK(pieces(t, "hello") == Texts{"▁hello"});
  CHECK(pieces(t, "hello world") == Texts{"▁hello", "▁w", "or", "ld"});
  CHECK(pieces(t, "ü") == Texts{"▁", "<0xC3>", "<0xBC>"});
  CHECK(pieces(t, "é世") == Texts{"▁", "é", "世"});
  CHECK(pieces(t, "   ") == Texts{"▁▁▁▁"});
  CHECK(pieces(t, "aaa") == Texts{"▁", "aa", "a"});
  CHECK(pieces(t, "").empty());
  CHECK(t.encode("") == Ids{1});
  CHECK(t.decode(t.encode("hello world")) == "hello world");
}

TEST_CASE("Only the one space that was put in front is taken back") {
  const Tokenizer t = make(test::spm_keys());
  CHECK(t.adds_space_prefix());
  for (const char* text : {"", " ", "  ", "    a", " hello", "\n", "a ", "▁"}) {
    const std::string expected = std::string_view(text) == "▁" ? " " : text;
    CHECK(t.decode(t.encode(text)) == expected);
  }
  const TokenId tool = *t.find("<tool>"), hello = *t.find("▁hello");
  CHECK(t.decode(Ids{1, hello}) == "hello");
  CHECK(t.decode(Ids{1, hello}, true) == "<s> hello");
  CHECK(t.decode(Ids{tool, hello}) == "<tool> hello");
  CHECK(t.bytes(hello) == " hello");

  Keys keys = test::spm_keys();
  keys["tokenizer.ggml.add_space_prefix"] = false;
  const Tokenizer bare = make(keys);
  CHECK(!bare.adds_space_prefix());
  CHECK(pieces(bare, "hello") == Texts{"he", "llo"});
  CHECK(bare.decode(bare.encode(" hello")) == " hello");
}

TEST_CASE("Byte-level BPE merges by rank inside the pieces of its pattern") {
  const Tokenizer t = make(test::bpe_keys());
  CHECK(pieces(t, "hello wor") == Texts{"hello", "Ġwor"});
  CHECK(pieces(t, "é") == Texts{"Ã©"});
  CHECK(pieces(t, "aaaaa") == Texts{"aaaa", "a"});
  CHECK(pieces(t, "\n") == Texts{"Ċ"});
  CHECK(t.bytes(*t.find("Ã©")) == "é");
  CHECK(t.decode(t.encode("hello\twörld 世\0!")) == "hello\twörld 世\0!");
}

TEST_CASE("ignore_merges takes a whole piece that is a token, where the pre-tokenizer says so") {
  Keys keys = test::bpe_keys();
  array<std::string>(keys, "tokenizer.ggml.merges").resize(9);  // "Ġwor" is no longer reachable
  CHECK(pieces(make(keys), " wor") == Texts{"Ġwor"});
  keys["tokenizer.ggml.pre"] = "dbrx";
  CHECK(pieces(make(keys), " wor") == Texts{"Ġw", "or"});
}

TEST_CASE("Control tokens are text unless asked for; user-defined ones always count") {
  for (const bool spm : {true, false}) {
    const Tokenizer t = make(spm ? test::spm_keys() : test::bpe_keys());
    const char* end = spm ? "<|im_end|>" : "<|end|>";
    const TokenId id = *t.find(end);
    CHECK(t.kind(id) == TokenKind::control);
    CHECK(t.encode(end, parsed) == Ids{id});
    const Ids as_text = t.encode(end, plain);
    CHECK(std::find(as_text.begin(), as_text.end(), id) == as_text.end());
    CHECK(t.decode(as_text) == end);
    CHECK(t.decode(Ids{id}).empty());
    CHECK(t.decode(Ids{id}, true) == end);
    CHECK(t.encode("<tool>", plain) == Ids{*t.find("<tool>")});
    CHECK(t.is_end(id));
  }
}

TEST_CASE("No text spells a control, unknown or byte token through merges") {
  Keys keys = test::spm_keys();
  auto& tokens = array<std::string>(keys, "tokenizer.ggml.tokens");
  for (const char* text : {"<", ">", "/", "s", "/s", "</s", "0", "x", "0x", "0xA", "A", "<0xA", "1"}) {
    tokens.push_back(text);
    array<double>(keys, "tokenizer.ggml.scores").push_back(1);
    array<std::int64_t>(keys, "tokenizer.ggml.token_type").push_back(1);
  }
  const Tokenizer t = make(keys);
  CHECK(pieces(t, "</s>") == Texts{"▁", "</s", ">"});
  CHECK(pieces(t, "<0xA1>") == Texts{"▁", "<0xA", "1", ">"});
}

TEST_CASE("Of overlapping special tokens the leftmost counts, of those the longest") {
  Keys keys = test::bpe_keys();
  auto& tokens = array<std::string>(keys, "tokenizer.ggml.tokens");
  for (const char* text : {"[ab", "[abc]", "b][c", "[a"}) {
    tokens.push_back(text);
    array<std::int64_t>(keys, "tokenizer.ggml.token_type").push_back(4);
  }
  const Tokenizer t = make(keys);
  CHECK(pieces(t, "[abc]") == Texts{"[abc]"});
  CHECK(pieces(t, "[abcx") == Texts{"[ab", "c", "x"});
  CHECK(pieces(t, "[ab][c") == Texts{"[ab", "]", "[", "c"});
  CHECK(pieces(t, "[[a[") == Texts{"[", "[a", "["});
}

TEST_CASE("Phi-3's special tokens swallow the white space behind them") {
  Keys keys = test::spm_keys();
  const std::string text = "<|im_end|> \n hello</s> a";
  CHECK(pieces(make(keys), text, parsed) == Texts{"<|im_end|>", "▁▁", "<0x0A>", "▁hello", "</s>", "▁▁", "a"});
  keys["general.name"] = "Tiny-Phi-3-mini";
  CHECK(pieces(make(keys), text, parsed) == Texts{"<|im_end|>", "▁hello", "</s>", "▁", "a"});
  CHECK(pieces(make(keys), "<s> a", parsed) == Texts{"<s>", "▁▁", "a"});
  keys["general.name"] = "Tiny Phi 3.5";
  CHECK(pieces(make(keys), text, parsed).size() == 7);
  keys["general.architecture"] = "phi3";
  CHECK(pieces(make(keys), text, parsed) == Texts{"<|im_end|>", "▁hello", "</s>", "▁", "a"});
}

TEST_CASE("BOS and EOS are added where the file or its kind says so") {
  Keys spm = test::spm_keys();
  CHECK(make(spm).encode("hello") == Ids{1, *make(spm).find("▁hello")});
  CHECK(make(spm).adds_bos());
  spm["tokenizer.ggml.add_bos_token"] = false;
  spm["tokenizer.ggml.add_eos_token"] = true;
  CHECK(make(spm).encode("hello") == Ids{*make(spm).find("▁hello"), 2});
  CHECK(!make(spm).adds_bos());

  Keys bpe = test::bpe_keys();
  CHECK(make(bpe).adds_bos());  // llama-bpe
  bpe["tokenizer.ggml.pre"] = "gpt-2";
  CHECK(!make(bpe).adds_bos());
  bpe["tokenizer.ggml.add_bos_token"] = true;
  CHECK(make(bpe).adds_bos());
  bpe["tokenizer.ggml.pre"] = "llama-bpe";
  bpe.erase("tokenizer.ggml.add_bos_token");
  bpe.erase("tokenizer.ggml.bos_token_id");
  CHECK(!make(bpe).adds_bos());
  CHECK(!make(bpe).bos());
}

TEST_CASE("Ends are the keys' tokens and the known texts of added tokens") {
  Keys keys = test::bpe_keys();
  auto& tokens = array<std::string>(keys, "tokenizer.ggml.tokens");
  auto& types = array<std::int64_t>(keys, "tokenizer.ggml.token_type");
  const auto add = [&](const char* text, std::int64_t type) {
    tokens.push_back(text);
    types.push_back(type);
    return static_cast<TokenId>(tokens.size() - 1);
  };
  const TokenId end = 269, turn = add("<end_of_turn>", 4), html = add("</s>", 1), eom = add("[stop]", 1);
  keys["tokenizer.ggml.eom_token_id"] = std::int64_t{eom};
  const Tokenizer t = make(keys);
  CHECK(t.text(end) == "<|end|>");
  CHECK(Ids(t.ends().begin(), t.ends().end()) == Ids{end, turn, eom});
  CHECK(t.is_end(turn));
  CHECK(!t.is_end(html));
  CHECK(!t.is_end(-1));

  // gpt-oss: <|end|> ends a message only.
  const TokenId back = add("<|return|>", 3), call = add("<|call|>", 3);
  const Tokenizer oss = make(keys);
  CHECK(Ids(oss.ends().begin(), oss.ends().end()) == Ids{turn, eom, back, call});
}

TEST_CASE("qwen2 composes its text first; the others leave it alone") {
  Keys keys = test::bpe_keys();
  CHECK(make(keys).decode(make(keys).encode("e\u0301")) == "e\u0301");
  keys["tokenizer.ggml.pre"] = "qwen2";
  CHECK(pieces(make(keys), "e\u0301") == Texts{"Ã©"});
}

TEST_CASE("Unusual files load: padding, empty and odd tokens, missing types, unused ids out of range") {
  Keys keys = test::spm_keys();
  auto& tokens = array<std::string>(keys, "tokenizer.ggml.tokens");
  for (const char* text : {"[PAD272]", "", "", "has space"}) {
    tokens.push_back(text);
    array<double>(keys, "tokenizer.ggml.scores").push_back(-std::numeric_limits<double>::infinity());
    array<std::int64_t>(keys, "tokenizer.ggml.token_type").push_back(*text ? 5 : 1);
  }
  keys["tokenizer.ggml.padding_token_id"] = std::int64_t{4294967295};
  keys["tokenizer.ggml.seperator_token_id"] = std::int64_t{99999};
  keys["tokenizer.ggml.eot_token_id"] = std::int64_t{4294967295};
  keys["tokenizer.chat_template"] = "{{ x }}";
  keys["tokenizer.chat_template.tool_use"] = "{{ tools }}";
  keys["tokenizer.chat_templates"] = std::vector<std::string>{"tool_use"};
  const Tokenizer t = make(keys);
  CHECK(t.size() == tokens.size());
  CHECK(t.chat_templates().at("default") == "{{ x }}");
  CHECK(t.chat_templates().at("tool_use") == "{{ tools }}");
  CHECK(t.chat_templates().size() == 2);
  CHECK(t.decode(t.encode("hello wörld")) == "hello wörld");
  CHECK(t.bytes(*t.find("[PAD272]") + 1).empty());
  CHECK(!t.find(""));

  keys.erase("tokenizer.ggml.token_type");
  const Tokenizer untyped = make(keys);
  CHECK(untyped.kind(2) == TokenKind::control);
  CHECK(untyped.kind(0) == TokenKind::unknown);
  CHECK(untyped.decode(untyped.encode("hello wörld")) == "hello wörld");

  Keys scored = test::bpe_keys();
  scored["tokenizer.ggml.scores"] = std::vector<double>{1};  // means nothing for this kind
  CHECK_NOTHROW(make(scored));
  scored.erase("tokenizer.ggml.pre");
  CHECK(pieces(make(scored), "hello") == Texts{"hello"});
}

TEST_CASE("A vocabulary without byte tokens stands on its unknown token") {
  const Keys keys = {{"tokenizer.ggml.model", "llama"},
                     {"tokenizer.ggml.tokens", Texts{"<unk>", "▁", "a", "▁a"}},
                     {"tokenizer.ggml.scores", std::vector<double>{0, -3, -2, -1}},
                     {"tokenizer.ggml.token_type", std::vector<std::int64_t>{2, 1, 1, 1}}};
  const Tokenizer t = make(keys);
  CHECK(t.bos() == 1);  // what the kind takes for granted
  CHECK(pieces(t, "axy a") == Texts{"▁a", "<unk>", "<unk>", "▁a"});
}

TEST_CASE("Ids outside the vocabulary are refused") {
  const Tokenizer t = make(test::spm_keys());
  for (const TokenId id : {-1, static_cast<TokenId>(t.size()), std::numeric_limits<TokenId>::max()}) {
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { (void)t.decode(Ids{id}); }, [&] { (void)t.bytes(id); }, [&] { (void)t.text(id); },
             [&] { (void)t.kind(id); }, [&] { TextStream(t).push(id); }}) {
      try {
        call();
        FAIL("no error");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::out_of_range);
        CHECK(error.found() == std::to_string(id));
      }
    }
  }
}
