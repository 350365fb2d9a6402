// Merging: symbols side by side become one, best pair first, until no pair is left.
// Fourth step of encode(), under text/bpe.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
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

constexpr std::uint64_t pair_of(TokenId left, TokenId right) noexcept {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

struct PairSlot {
  static constexpr std::uint64_t free = ~0ull;  // no pair of tokens
  std::uint64_t pair = free;
  Merge merge;
};

// The merges of a model, by pair of tokens.
class MergeTable {
 public:
  void reserve(std::size_t n);
  // A pair that is there already keeps its rank. At most as many as reserved; false if too many pairs were
  // made to collide.
  bool add(TokenId left, TokenId right, Merge merge);
  // Asks memory for what add() will touch.
  void prepare(TokenId left, TokenId right) const noexcept;
  Merge find(TokenId left, TokenId right) const noexcept;

 private:
  std::vector<PairSlot> slots_;  // open addressing
};

// The pairs that were asked for last: text is made of few of them, and asks for those again and again.
class PairCache {
 public:
  PairCache() : slots_(std::size_t{1} << bits) {}

  template <class Lookup>
  Merge find(TokenId left, TokenId right, const Lookup& lookup) {
    const std::uint64_t pair = pair_of(left, right);
    PairSlot& slot = slots_[pair * 0x9E3779B97F4A7C15u >> (64 - bits)];
    if (slot.pair != pair) slot = {pair, lookup()};
    return slot.merge;
  }

 private:
  static constexpr unsigned bits = 12;  // 64 KiB: stays near, and costs a short text little
  std::vector<PairSlot> slots_;
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

  // A pair waiting to be merged: its rank, then its left symbol's index.
  using Candidate = std::uint64_t;
  struct Link {
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
    Merge pair;  // with the next symbol
  };

  std::vector<Merge> pairs_;  // merge_few: of each symbol with the next
  std::vector<Link> links_;   // merge_many: of each symbol
  // Candidates in order, and those found since: the next run, unless one of them must go before this run's
  // end. Only then they become a heap.
  std::vector<Candidate> run_, found_;
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
  constexpr Candidate no_candidate = ~Candidate{0};
  const auto n = static_cast<std::uint32_t>(symbols.size());
  run_.clear();
  found_.clear();
  links_.assign(n, Link{});
  Candidate first_found = no_candidate;
  bool is_heap = false;
  const auto is_stale = [&](Candidate c) {
    return links_[static_cast<std::uint32_t>(c)].pair.rank != c >> 32;
  };
  const auto pair_up = [&](std::uint32_t left, std::uint32_t right) {
    if (left == none) return;
    Merge& pair = links_[left].pair;
    pair = right == none ? Merge{} : lookup(symbols[left], symbols[right]);
    if (pair.rank == Merge::never) return;
    found_.push_back(Candidate{pair.rank} << 32 | left);
    first_found = std::min(first_found, found_.back());
    if (is_heap) std::push_heap(found_.begin(), found_.end(), std::greater<>());
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    links_[i].previous = i == 0 ? none : i - 1;
    links_[i].next = i + 1 == n ? none : i + 1;
    pair_up(i, links_[i].next);
  }
  std::size_t done = 0;  // of run_
  while (done < run_.size() || !found_.empty()) {
    if (done == run_.size()) {
      run_.swap(found_);
      std::erase_if(run_, is_stale);
      if (!std::is_sorted(run_.begin(), run_.end())) std::sort(run_.begin(), run_.end());
      found_.clear();
      first_found = no_candidate;
      is_heap = false;
      done = 0;
      continue;
    }
    Candidate best = run_[done];
    if (!is_heap && first_found < best) {
      std::make_heap(found_.begin(), found_.end(), std::greater<>());
      is_heap = true;
    }
    if (is_heap && !found_.empty() && found_.front() < best) {
      best = found_.front();
      std::pop_heap(found_.begin(), found_.end(), std::greater<>());
      found_.pop_back();
    } else {
      ++done;
    }
    const auto left = static_cast<std::uint32_t>(best);
    Link& link = links_[left];
    if (is_stale(best)) continue;  // one of the two has become part of another symbol
    const std::uint32_t right = link.next;
    symbols[left] = {symbols[left].begin, symbols[right].end, link.pair.result};
    symbols[right].begin = symbols[right].end;  // gone
    links_[right].pair = {};
    link.next = links_[right].next;
    if (link.next != none) links_[link.next].previous = left;
    pair_up(link.previous, left);
    pair_up(left, link.next);
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.begin == s.end; });
}

}  // namespace nibble::inline v0
