// PromptLookup: what it guesses, and how it backs off. That generations stay the same is in
// lookahead_test.cpp.
#include "src/session/prompt_lookup.hpp"

#include <random>

#include "support/catch.hpp"

using namespace nibble;

namespace {

using Ids = std::vector<TokenId>;

Ids guess(const Ids& text, std::uint32_t most, std::size_t room = 100) {
  PromptLookup lookup(most);
  lookup.reserve(text.size());
  const auto draft = lookup.draft(text, room);
  return {draft.begin(), draft.end()};
}

struct Tried {
  std::size_t steps = 0, guesses = 0, right = 0;
};

// Plays a text that is known beforehand, from its token `begin` on.
Tried play(const Ids& text, std::size_t begin, std::uint32_t most) {
  PromptLookup lookup(most);
  lookup.reserve(text.size());
  Tried tried;
  for (std::size_t at = begin; at < text.size(); ++tried.steps) {
    const auto draft = lookup.draft(std::span(text).first(at), text.size() - at - 1);
    const auto right = static_cast<std::size_t>(
        std::ranges::mismatch(draft, std::span(text).subspan(at)).in1 - draft.begin());
    tried.guesses += draft.size();
    tried.right += right;
    at += right + 1;
  }
  return tried;
}

Ids random_ids(std::size_t n, unsigned vocab_size, unsigned seed) {
  std::mt19937 random(seed);
  Ids ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % vocab_size);
  return ids;
}

}  // namespace

TEST_CASE("a guess is what followed the newest tokens last, those of the longest end first") {
  CHECK(guess({1, 2, 3, 4, 5, 1, 2}, 3) == Ids{3, 4, 5});
  CHECK(guess({1, 2, 3, 9, 1, 2, 4, 9, 1, 2}, 3) == Ids{4, 9, 1});
  CHECK(guess({7, 8, 1, 2, 5, 5, 6, 8, 1, 2, 6, 6, 7, 8, 1, 2}, 2) == Ids{5, 5});
  CHECK(guess({1, 2, 3, 1, 2, 3, 1, 2}, 15) == Ids{3, 1, 2});  // a loop goes on; the first drafts are short
  CHECK(guess({5, 5, 5}, 2) == Ids{5, 5});
  CHECK(guess({1, 2, 3, 4, 5, 1, 2}, 3, 1) == Ids{3});
  for (const Ids& none : {Ids{}, Ids{1}, Ids{1, 2}, Ids{1, 2, 3, 4}, Ids{1, 2, 3, 2}})
    CHECK(guess(none, 9).empty());
  CHECK(guess({1, 2, 3, 1, 2}, 0).empty());
  CHECK(guess({1, 2, 3, 1, 2}, 9, 0).empty());
  PromptLookup without_room(9);
  CHECK(without_room.draft(Ids{1, 2, 3, 1, 2}, 9).empty());
}

TEST_CASE("tokens taken back do no harm") {
  PromptLookup lookup(5);
  lookup.reserve(100);
  const Ids text = random_ids(100, 3, 1);
  for (const std::size_t n : {100, 50, 60, 1, 0, 30, 99})
    for (const TokenId token : lookup.draft(std::span(text).first(n), 5)) CHECK((token >= 0 && token < 3));
}

TEST_CASE("drafts grow where guesses are right, and end where they are not") {
  const Ids once = random_ids(200, 1u << 30, 2);
  Ids twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  const Tried copy = play(twice, 202, 15);
  CHECK(copy.right == copy.guesses);
  CHECK(copy.steps <= 3 + 198 / 16 + 1);

  const Tried fresh = play(random_ids(2000, 1u << 30, 3), 200, 15);
  CHECK(fresh.guesses == 0);
  CHECK(fresh.steps == 1800);

  // Pairs that come again and again and never go on as before: the first few guesses, and no more.
  Ids misleading;
  for (TokenId i = 0; i < 500; ++i) misleading.insert(misleading.end(), {1, 2, 1000 + i});
  CHECK(play(misleading, 30, 15).guesses <= 3);
  CHECK(play(misleading, 30, 2).guesses <= 2);
}

TEST_CASE("where guesses are right by chance, they cost little") {
  for (const unsigned vocab_size : {2u, 3u, 4u, 5u, 7u, 10u, 30u}) {
    const Tried tried = play(random_ids(20'000, vocab_size, vocab_size), 1000, 15);
    CAPTURE(vocab_size, tried.guesses, tried.right);
    // In steps, where a guess adds three tenths to one.
    const double cost = static_cast<double>(tried.steps) + 0.3 * static_cast<double>(tried.guesses);
    CHECK(cost <= 1.02 * 19'000);
  }
}
