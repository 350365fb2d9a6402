// The table of merges.
// Under text/bpe.hpp.
#include "src/text/merges.hpp"

#include "src/text/hash_probe.hpp"

namespace nibble::inline v0 {

void MergeTable::reserve(std::size_t n) { slots_.assign(hash_slots(n), {}); }

void MergeTable::prepare(TokenId left, TokenId right) const noexcept {
  __builtin_prefetch(&slots_[hash_word(pair_of(left, right)) & (slots_.size() - 1)]);
}

bool MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_word(pair) & mask;
  for (std::size_t probes = 0; slots_[slot].pair != PairSlot::free; slot = (slot + 1) & mask) {
    if (slots_[slot].pair == pair) return true;
    if (++probes == max_probes) return false;
  }
  slots_[slot] = {pair, merge};
  return true;
}

Merge MergeTable::find(TokenId left, TokenId right) const noexcept {
  if (slots_.empty()) return {};
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash_word(pair) & mask; slots_[slot].pair != PairSlot::free;
       slot = (slot + 1) & mask) {
    if (slots_[slot].pair == pair) return slots_[slot].merge;
  }
  return {};
}

}  // namespace nibble::inline v0
