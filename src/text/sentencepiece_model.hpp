// What a tokenizer.model says: its pieces, and how text is prepared for them.
// Between the file and the loader in sentencepiece_tokenizer.cpp.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "nibble/core/limits.hpp"
#include "nibble/file/byte_source.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

struct SentencePieceModel {
  struct Piece {
    std::string_view text;  // points into the file
    double score = 0;
    TokenKind kind = TokenKind::normal;
    std::uint64_t offset = 0;  // bytes
  };

  std::vector<Piece> pieces;  // by id
  std::optional<TokenId> unknown, bos, eos;
  bool adds_prefix = true;  // a space in front of the text
};

// Errors, positioned: those of ProtobufReader; wrong_type; out_of_range (a kind, a NaN score, an id outside
// the pieces); malformed (a piece without text or not UTF-8, a byte token misspelt, two unknown tokens);
// missing (pieces); limit; unsupported (unigram and other models than BPE, compiled normalizers, white space
// as suffix, unescaped or removed).
SentencePieceModel read_sentencepiece_model(const ByteSource& file, const Limits& limits);

}  // namespace nibble::inline v0
