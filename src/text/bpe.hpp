// Byte pair encoding of one piece, of either kind: over bytes with ranked merges (GPT-2 and its heirs), or
// over characters with byte tokens for the rest (SentencePiece).
// Fourth and last step of encode().
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/merges.hpp"
#include "src/text/vocabulary.hpp"

namespace nibble::inline v0 {

constexpr std::array<TokenId, 256> no_byte_tokens() noexcept {
  std::array<TokenId, 256> ids{};
  for (TokenId& id : ids) id = -1;
  return ids;
}

struct Bpe {
  bool byte_level = false;      // symbols are bytes, texts are in the byte alphabet; else characters
  bool ignore_merges = false;   // a piece that is a token is that token
  bool fuse_unknown = false;    // neighbouring unknown characters are one unknown token
  bool cuts_at_spaces = false;  // no merge reaches across "x▁": words can be merged one by one
  std::array<TokenId, 256> byte_tokens = no_byte_tokens();  // -1: none
  std::optional<TokenId> unknown;                           // stands for what no token covers
  MergeTable merges;
  // (vocabulary) Not empty: a pair's rank is that of the token it spells; `never` for tokens that no merge
  // may yield. Replaces `merges`.
  std::vector<std::uint32_t> text_ranks;

  // Byte-level: fills byte_tokens with the tokens of the alphabet's letters.
  void find_byte_letters(const Vocabulary& vocabulary);
  // SentencePiece: fills byte_tokens with the tokens of kind `byte`. Returns the first byte that has none,
  // where others have one or there is no unknown token to stand for it.
  std::optional<std::size_t> find_byte_tokens(const Vocabulary& vocabulary);
  // SentencePiece: merges by score, (vocabulary) and no NaN, the highest first.
  void rank_by_scores(const Vocabulary& vocabulary, const std::vector<double>& scores);

  // What encode() works with besides this; one for each caller.
  struct Work {
    Merger merger;
    PairCache pairs;
    std::string mapped;          // a piece in the byte alphabet
    bool after_unknown = false;  // the last id stands for an unknown character of this piece
  };
  // Appends the ids of `piece`. Bytes that no token stands for, in a vocabulary without an unknown token, are
  // dropped, as their makers' library does.
  void encode(const Vocabulary& vocabulary, std::string_view piece, Work& work,
              std::vector<TokenId>& out) const;

 private:
  void merge_piece(const Vocabulary& vocabulary, std::string_view piece, Work& work,
                   std::vector<TokenId>& out) const;
  void fill_symbols(const Vocabulary& vocabulary, std::string_view piece, std::vector<Symbol>& symbols) const;
  void emit(std::string_view text, Work& work, std::vector<TokenId>& out) const;
};

// May merges yield or use this token? Control, unknown and byte tokens only ever come by other ways, so that
// no text can spell them.
constexpr bool is_mergeable(TokenKind kind) noexcept {
  return kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::unused;
}

// U+2581, which SentencePiece writes for a space.
inline constexpr std::string_view space_mark = "\u2581";

// No token has a space mark behind anything but space marks, so that no merge reaches from word to word.
bool words_stand_alone(const Vocabulary& vocabulary);

}  // namespace nibble::inline v0
