// The tokens of a model: text and kind by id, id by text.
// Filled once by a loader; the merges, the special tokens and the decoder read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

class Vocabulary {
 public:
  // The next id's token. At most 4 GiB of text altogether: false beyond.
  bool append(std::string_view text, TokenKind kind);
  void set_kind(TokenId id, TokenKind kind) { kinds_[static_cast<std::size_t>(id)] = kind; }

  // Makes find() work; empty texts are not found. Returns a token that cannot be indexed, if there is one:
  // find(text) then tells whether because its text is there already, or because too many texts were made to
  // collide.
  std::optional<TokenId> build_index();

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(kinds_.size()); }
  bool contains(TokenId id) const noexcept { return id >= 0 && static_cast<std::size_t>(id) < kinds_.size(); }
  std::string_view text(TokenId id) const noexcept {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(texts_).substr(ends_[i], ends_[i + 1] - ends_[i]);
  }
  TokenKind kind(TokenId id) const noexcept { return kinds_[static_cast<std::size_t>(id)]; }
  std::optional<TokenId> find(std::string_view text) const noexcept { return find(text, prepare(text)); }
  // The same in two halves: the first asks memory for what the second reads. For loaders that find hundreds
  // of thousands, some at a time.
  std::uint64_t prepare(std::string_view text) const noexcept;
  std::optional<TokenId> find(std::string_view text, std::uint64_t hash) const noexcept;

 private:
  struct Slot {
    std::uint32_t tag = 0;      // the hash's upper half
    std::uint32_t id_plus = 0;  // id + 1; 0: free
  };

  std::string texts_;                      // all texts, one after the other
  std::vector<std::uint32_t> ends_ = {0};  // (size + 1) where text i starts
  std::vector<TokenKind> kinds_;           // (size)
  std::vector<Slot> slots_;                // open addressing, at most half full
};

// The byte that "<0x0A>" stands for; nothing for any other spelling.
std::optional<std::uint8_t> parse_byte_token(std::string_view text) noexcept;

}  // namespace nibble::inline v0
