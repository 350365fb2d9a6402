// The end-of-turn texts of published vocabularies.
// Used by the loaders once their vocabulary is complete.
#include <algorithm>
#include <array>

#include "src/text/tokenizer_parts.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::array<std::string_view, 17> known_ends = {"<|eot_id|>",      "<|im_end|>",
                                                         "<|end|>",         "<|return|>",
                                                         "<|call|>",        "<end_of_turn>",
                                                         "<|endoftext|>",   "</s>",
                                                         "<|eom_id|>",      "<EOT>",
                                                         "<|end_of_text|>", "<end_of_utterance>",
                                                         "<eos>",           "<｜end▁of▁sentence｜>",
                                                         "<|fim_pad|>",     "<|repo_name|>",
                                                         "<|file_sep|>"};

// The token with this text, unless the text is ordinary ("</s>" in a vocabulary that has seen HTML). GPT-2's
// <|endoftext|> is its unknown token too.
std::optional<TokenId> find_added(const Vocabulary& vocabulary, std::string_view text) {
  const auto id = vocabulary.find(text);
  if (!id) return std::nullopt;
  const TokenKind kind = vocabulary.kind(*id);
  const bool added =
      kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined;
  return added ? id : std::nullopt;
}

}  // namespace

void add_known_ends(TokenizerParts& parts) {
  for (const std::string_view text : known_ends) {
    if (const auto id = find_added(parts.vocabulary, text)) parts.ends.push_back(*id);
  }
  std::sort(parts.ends.begin(), parts.ends.end());
  parts.ends.erase(std::unique(parts.ends.begin(), parts.ends.end()), parts.ends.end());
  // Where these three exist (gpt-oss), <|end|> closes one message of several.
  const auto end = find_added(parts.vocabulary, "<|end|>");
  if (end && find_added(parts.vocabulary, "<|return|>") && find_added(parts.vocabulary, "<|call|>")) {
    std::erase(parts.ends, *end);
  }
}

}  // namespace nibble::inline v0
