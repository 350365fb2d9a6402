// All that a tokenizer is, as the loaders fill it: the steps of encode() in order, and what decode() needs.
// Between the three loaders (GGUF metadata, tokenizer.json, tokenizer.model) and the public Tokenizer.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/text/bpe.hpp"
#include "src/text/normalizer.hpp"
#include "src/text/pre_tokenizer.hpp"
#include "src/text/special_tokens.hpp"
#include "src/text/vocabulary.hpp"

namespace nibble::inline v0 {

struct TokenizerParts {
  Vocabulary vocabulary;
  SpecialTokens specials;             // found in the text as it is
  std::vector<Rewrite> normalizer;    // of the fragments between
  SpecialTokens normalized_specials;  // found in the normalized fragments
  std::vector<Rewrite> prefixes;      // of the fragments between those: the space or its mark in front
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  std::vector<TokenId> before, after;  // put around the text on request

  bool strips_space = false;  // decode() takes back one space that encode() put in front
  std::optional<TokenId> bos, eos;
  std::vector<TokenId> ends;                                       // sorted
  std::map<std::string, std::string, std::less<>> chat_templates;  // sources by name
  std::uint64_t text_bytes = 0;                                    // Limits::text_bytes
};

// The texts that end a turn or a document in the vocabularies of published models: their tokens join `ends`,
// which come out sorted, each once.
void add_known_ends(TokenizerParts& parts);

// Tokenizer::from_gguf, from_json and from_sentencepiece.
TokenizerParts read_gguf_tokenizer(const Metadata& metadata, const Limits& limits);
TokenizerParts read_json_tokenizer(const std::filesystem::path& tokenizer,
                                   const std::filesystem::path& config,
                                   const std::filesystem::path& generation, const Limits& limits);
TokenizerParts read_sentencepiece(const std::filesystem::path& model, const std::filesystem::path& config,
                                  const std::filesystem::path& generation, const Limits& limits);

}  // namespace nibble::inline v0
