// The merger against the definition: of all pairs the lowest rank, of equals the leftmost, again and again.
#include "src/text/merges.hpp"

#include <random>

#include "support/catch.hpp"

using namespace nibble;

namespace {

std::vector<Symbol> by_definition(std::vector<Symbol> symbols, const MergeTable& table) {
  for (;;) {
    Merge best;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge merge = table.find(symbols[i].token, symbols[i + 1].token);
      if (merge.rank < best.rank) best = merge, at = i;
    }
    if (best.rank == Merge::never) return symbols;
    symbols[at] = {symbols[at].begin, symbols[at + 1].end, best.result};
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

bool same(const std::vector<Symbol>& a, const std::vector<Symbol>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Symbol& x, const Symbol& y) {
    return x.begin == y.begin && x.end == y.end && x.token == y.token;
  });
}

}  // namespace

TEST_CASE("Merging short and long pieces follows the definition, whatever the ranks") {
  std::mt19937 random(7);
  Merger merger;
  for (int round = 0; round < 3'000; ++round) {
    const unsigned n_tokens = 2 + random() % 20, n_merges = random() % 60;
    MergeTable table;
    table.reserve(n_merges);
    for (unsigned i = 0; i < n_merges; ++i) {
      // Ranks in no order, and equal ones, as a vocabulary's scores may have them.
      const Merge merge = {static_cast<std::uint32_t>(random() % 30),
                           static_cast<TokenId>(random() % n_tokens)};
      table.add(static_cast<TokenId>(random() % n_tokens), static_cast<TokenId>(random() % n_tokens), merge);
    }
    std::vector<Symbol> symbols;
    const unsigned length = random() % 100;
    for (std::uint32_t i = 0; i < length; ++i) {
      symbols.push_back({i, i + 1, static_cast<TokenId>(random() % (random() % n_tokens + 1))});
    }
    merger.symbols = symbols;
    merger.merge([&](const Symbol& l, const Symbol& r) { return table.find(l.token, r.token); });
    if (!same(merger.symbols, by_definition(symbols, table)))
      FAIL("round " << round << ", length " << length);
  }
}

TEST_CASE("A pair keeps the rank it was first given") {
  MergeTable table;
  CHECK(table.find(1, 2).rank == Merge::never);
  table.reserve(2);
  CHECK(table.add(1, 2, {5, 9}));
  CHECK(table.add(1, 2, {3, 8}));
  CHECK(table.find(1, 2).rank == 5);
  CHECK(table.find(1, 2).result == 9);
  CHECK(table.find(2, 1).rank == Merge::never);
}
