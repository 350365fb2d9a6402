// Merging: symbols side by side become one, best pair first, until no pair is left.
// Fourth step of encode(), under text/bpe.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

// What two neighbours become, and how urgently: the lowest rank goes first, of equals the leftmost.
struct Merge {
  static constexpr std::uint32_t never = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t rank = never;
  TokenId result = -1;
};

// The merges of a model, by pair of tokens.
class MergeTable {
 public:
  void reserve(std::size_t n);
  // A pair that is there already keeps its rank. At most as many as reserved; false if too many pairs were
  // made to collide.
  bool add(TokenId left, TokenId right, Merge merge);
  Merge find(TokenId left, TokenId right) const noexcept;

 private:
  struct Slot {
    std::uint64_t pair = ~0ull;  // all ones: free
    Merge merge;
  };
  std::vector<Slot> slots_;  // open addressing, at most half full
};

// A run of a piece that is one token, or (token < 0) that no token is.
struct Symbol {
  std::uint32_t begin = 0;  // bytes of the piece
  std::uint32_t end = 0;
  TokenId token = -1;
};

// Merges the symbols of one piece after another; keeps its memory between them.
class Merger {
 public:
  std::vector<Symbol> symbols;  // filled by the caller, merged in place

  // `lookup(left, right)` yields a Merge, of rank `never` where the two stay apart. Time n log n.
  template <class Lookup>
  void merge(const Lookup& lookup) {
    symbols.size() <= few ? merge_few(lookup) : merge_many(lookup);
  }

 private:
  static constexpr std::size_t few = 32;  // up to here, walking along all pairs beats a heap

  template <class Lookup>
  void merge_few(const Lookup& lookup);
  template <class Lookup>
  void merge_many(const Lookup& lookup);

  struct Candidate {
    Merge merge;
    std::uint32_t left = 0;  // the symbol's index
    std::uint32_t end = 0;   // of the right symbol when this was found; it ends elsewhere now: stale
    bool operator<(const Candidate& other) const noexcept {  // of a heap, whose top is the greatest
      return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : left > other.left;
    }
  };
  struct Link {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };

  std::vector<Merge> pairs_;  // merge_few: of each symbol with the next
  std::vector<Candidate> heap_;
  std::vector<Link> links_;
};

template <class Lookup>
void Merger::merge_few(const Lookup& lookup) {
  pairs_.clear();
  for (std::size_t i = 1; i < symbols.size(); ++i) pairs_.push_back(lookup(symbols[i - 1], symbols[i]));
  while (!pairs_.empty()) {
    const auto best = std::min_element(pairs_.begin(), pairs_.end(),
                                       [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    if (best->rank == Merge::never) return;
    const auto left = symbols.begin() + (best - pairs_.begin());
    *left = {left->begin, left[1].end, best->result};
    symbols.erase(left + 1);
    const auto after = pairs_.erase(best);
    if (after != pairs_.end()) *after = lookup(left[0], left[1]);
    if (after != pairs_.begin()) after[-1] = lookup(left[-1], left[0]);
  }
}

template <class Lookup>
void Merger::merge_many(const Lookup& lookup) {
  constexpr std::uint32_t none = Merge::never;
  const auto n = static_cast<std::uint32_t>(symbols.size());
  heap_.clear();
  links_.resize(n);
  const auto propose = [&](std::uint32_t left, std::uint32_t right) {
    const Merge merge = lookup(symbols[left], symbols[right]);
    if (merge.rank != Merge::never) heap_.push_back({merge, left, symbols[right].end});
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    links_[i] = {i == 0 ? none : i - 1, i + 1 == n ? none : i + 1};
    if (i > 0) propose(i - 1, i);
  }
  std::make_heap(heap_.begin(), heap_.end());
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    if (left == none || right == none) return;
    const std::size_t before = heap_.size();
    propose(left, right);
    if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end());
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Candidate top = heap_.back();
    heap_.pop_back();
    Symbol& left = symbols[top.left];
    const auto [previous, right] = links_[top.left];
    if (left.begin == left.end || right == none || symbols[right].end != top.end) continue;
    left = {left.begin, top.end, top.merge.result};
    symbols[right].begin = symbols[right].end;  // gone
    const std::uint32_t next = links_[right].next;
    links_[top.left].next = next;
    if (next != none) links_[next].previous = top.left;
    push(previous, top.left);
    push(top.left, next);
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.begin == s.end; });
}

}  // namespace nibble::inline v0
