// The vocabulary's storage and its index from text to id.
// Filled once by a loader.
#include "src/text/vocabulary.hpp"

#include <limits>

#include "src/text/hash_probe.hpp"

namespace nibble::inline v0 {

bool Vocabulary::append(std::string_view text, TokenKind kind) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max() - texts_.size()) return false;
  texts_ += text;
  ends_.push_back(static_cast<std::uint32_t>(texts_.size()));
  kinds_.push_back(kind);
  return true;
}

std::optional<TokenId> Vocabulary::build_index() {
  slots_.assign(hash_slots(kinds_.size()), Slot{});
  const std::size_t mask = slots_.size() - 1;
  for (TokenId id = 0; contains(id); ++id) {
    if (text(id).empty()) continue;
    const std::uint64_t hash = hash_text(text(id));
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t slot = hash & mask;
    for (std::size_t probes = 0; slots_[slot].id_plus != 0; slot = (slot + 1) & mask) {
      const Slot& taken = slots_[slot];
      const bool same = taken.tag == tag && text(static_cast<TokenId>(taken.id_plus - 1)) == text(id);
      if (same || ++probes == max_probes) return id;
    }
    slots_[slot] = {tag, static_cast<std::uint32_t>(id) + 1};
  }
  return std::nullopt;
}

std::uint64_t Vocabulary::prepare(std::string_view wanted) const noexcept {
  const std::uint64_t hash = hash_text(wanted);
  if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  return hash;
}

std::optional<TokenId> Vocabulary::find(std::string_view wanted, std::uint64_t hash) const noexcept {
  if (slots_.empty()) return std::nullopt;
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  for (std::size_t slot = hash & mask; slots_[slot].id_plus != 0; slot = (slot + 1) & mask) {
    const auto id = static_cast<TokenId>(slots_[slot].id_plus - 1);
    if (slots_[slot].tag == tag && text(id) == wanted) return id;
  }
  return std::nullopt;
}

std::optional<std::uint8_t> parse_byte_token(std::string_view text) noexcept {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  constexpr std::string_view digits = "0123456789ABCDEF";
  const std::size_t high = digits.find(text[3]);
  const std::size_t low = digits.find(text[4]);
  if (high == digits.npos || low == digits.npos) return std::nullopt;
  return static_cast<std::uint8_t>(high * 16 + low);
}

}  // namespace nibble::inline v0
