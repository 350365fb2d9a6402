// Two tiny tokenizers, one of each kind, as GGUF keys and as tokenizer.json, to be used as they are or
// spoilt. Used by the text stage's tests and fuzz targets.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/file/metadata.hpp"

namespace nibble::test {

using Keys = std::map<std::string, Value>;

// Each key's position is "at KEY".
inline Metadata as_metadata(const Keys& keys) {
  Metadata metadata("tiny.gguf");
  for (const auto& [key, value] : keys) metadata.add(key, value, "at " + key);
  return metadata;
}

inline std::string byte_token(unsigned byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">";
}

// The character byte-level BPE writes for a byte.
inline std::string alphabet_letter(unsigned byte) {
  const auto prints = [](unsigned b) { return (b >= 33 && b <= 126) || (b >= 161 && b != 173); };
  unsigned code = byte;
  if (!prints(byte)) {
    code = 0x100;
    for (unsigned b = 0; b < byte; ++b) code += prints(b) ? 0 : 1;
  }
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// Ids: <unk> <s> </s>, 256 bytes from 3, words from 259 in the order of their merging, single characters,
// then <|im_end|> (control) and <tool> (user-defined).
inline const std::vector<std::string> spm_words = {"he", "ll", "▁w",     "or",   "▁he",  "llo",
                                                   "▁▁", "aa", "▁hello", "▁▁▁▁", "aaaa", "ld"};
inline const std::vector<std::string> spm_characters = {"▁", "h", "e", "l", "o", "w",
                                                        "r", "d", "a", "é", "世"};

inline Keys spm_keys() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<double> scores = {0, 0, 0};
  std::vector<std::int64_t> types = {2, 3, 3};
  const auto add = [&](std::string text, double score, int type) {
    tokens.push_back(std::move(text));
    scores.push_back(score);
    types.push_back(type);
  };
  for (unsigned byte = 0; byte < 256; ++byte) add(byte_token(byte), 0, 6);
  double score = 0;
  for (const auto& word : spm_words) add(word, score--, 1);
  for (const auto& character : spm_characters) add(character, score--, 1);
  add("<|im_end|>", 0, 3);
  add("<tool>", 0, 4);
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.bos_token_id", std::int64_t{1}},
          {"tokenizer.ggml.eos_token_id", std::int64_t{2}},
          {"tokenizer.ggml.unknown_token_id", std::int64_t{0}}};
}

// Ids: 256 bytes, results of the merges from 256, <|begin|> <|end|> (control), <tool> (user-defined).
inline const std::vector<std::string> bpe_merges = {"h e", "l l",    "Ġ w",   "o r",   "he ll", "Ġ Ġ",
                                                    "a a", "hell o", "aa aa", "ĠĠ ĠĠ", "Ġw or", "Ã ©"};

inline std::vector<std::string> bpe_texts() {
  std::vector<std::string> texts;
  for (unsigned byte = 0; byte < 256; ++byte) texts.push_back(alphabet_letter(byte));
  for (std::string merge : bpe_merges) texts.push_back(merge.erase(merge.find(' '), 1));
  return texts;
}

inline Keys bpe_keys() {
  std::vector<std::string> tokens = bpe_texts();
  std::vector<std::int64_t> types(tokens.size(), 1);
  for (const char* text : {"<|begin|>", "<|end|>", "<tool>"}) tokens.push_back(text);
  for (const int type : {3, 3, 4}) types.push_back(type);
  const auto end = static_cast<std::int64_t>(tokens.size()) - 2;
  return {{"tokenizer.ggml.model", "gpt2"},      {"tokenizer.ggml.pre", "llama-bpe"},
          {"tokenizer.ggml.tokens", tokens},     {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", bpe_merges}, {"tokenizer.ggml.bos_token_id", end - 1},
          {"tokenizer.ggml.eos_token_id", end}};
}

inline nlohmann::json added_token(int id, std::string_view text, bool special) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// The same byte-level tokenizer as tokenizer.json, split as GPT-2 does.
inline nlohmann::json bpe_json() {
  nlohmann::json vocab = nlohmann::json::object();
  for (const std::string& text : bpe_texts()) vocab[text] = vocab.size();
  const int n = static_cast<int>(vocab.size());
  return {{"added_tokens",
           {added_token(n, "<|begin|>", true), added_token(n + 1, "<|end|>", true),
            added_token(n + 2, "<tool>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", bpe_merges}}}};
}

// The same character-level tokenizer as tokenizer.json: a merge for each way to build a word of two tokens.
inline nlohmann::json spm_json() {
  const Keys keys = spm_keys();
  const auto& texts = std::get<std::vector<std::string>>(keys.at("tokenizer.ggml.tokens"));
  nlohmann::json vocab = nlohmann::json::object(), merges = nlohmann::json::array();
  for (const std::string& text : texts) vocab[text] = vocab.size();
  for (const std::string& word : spm_words) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const std::string left = word.substr(0, i), right = word.substr(i);
      if (vocab.contains(left) && vocab.contains(right)) merges.push_back({left, right});
    }
  }
  const int n = static_cast<int>(texts.size());
  using nlohmann::json;
  return {{"added_tokens",
           {added_token(0, "<unk>", true), added_token(1, "<s>", true), added_token(2, "</s>", true),
            added_token(n - 2, "<|im_end|>", true), added_token(n - 1, "<tool>", false)}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {json{{"type", "Prepend"}, {"prepend", "▁"}},
              json{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {json{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
              json{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"special_tokens",
             {{"<s>", {{"id", "<s>"}, {"ids", json::array({1})}, {"tokens", json::array({"<s>"})}}}}}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {json{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
              json{{"type", "ByteFallback"}}, json{{"type", "Fuse"}},
              json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", true},
            {"fuse_unk", true},
            {"vocab", vocab},
            {"merges", merges}}}};
}

}  // namespace nibble::test
