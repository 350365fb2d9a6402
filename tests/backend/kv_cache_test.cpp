// Pages of keys and values: windows give them back, forks share them, refusals change nothing, and
// kv_pages_needed is exactly what a sequence can come to hold.
#include "nibble/backend/kv_cache.hpp"

#include <algorithm>
#include <random>
#include <set>

#include "nibble/core/error.hpp"
#include "support/catch.hpp"

using namespace nibble;

namespace {

constexpr std::uint32_t size = kv_page_size;

struct Random {
  explicit Random(std::uint32_t seed) : engine(seed) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(engine()); }
  std::mt19937 engine;
};

KvLayer layer(std::uint32_t window = 0) { return {.n_kv_heads = 2, .head_dim = 8, .window = window}; }

std::uint64_t held(const KvSequence& sequence) {
  std::uint64_t n = 0;
  for (const auto& pages : sequence.pages) {
    n += static_cast<std::uint64_t>(
        std::count_if(pages.begin(), pages.end(), [](PageId p) { return p != no_page; }));
  }
  return n;
}

// Everything the next n tokens read or write has a page, and no page is there twice.
void check_present(const KvCache& cache, const KvSequence& sequence, std::uint32_t n) {
  std::set<PageId> pages;
  for (std::size_t i = 0; i < sequence.pages.size(); ++i) {
    const std::uint32_t window = cache.layers()[i].window;
    const std::uint32_t begin = window == 0 || sequence.length < window ? 0 : sequence.length - window + 1;
    for (std::uint32_t p = begin / size; p * size < sequence.length + n; ++p) {
      REQUIRE(sequence.pages[i].at(p) != no_page);
    }
    for (PageId page : sequence.pages[i]) {
      if (page != no_page) REQUIRE(pages.insert(page).second);
    }
  }
}

ErrorCode reserve_error(KvCache& cache, KvSequence& sequence, std::uint32_t n) {
  try {
    cache.reserve(sequence, n);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("a page holds the widest layer's keys and values") {
  const KvLayer layers[] = {{.n_kv_heads = 2, .head_dim = 64, .window = 0},
                            {.n_kv_heads = 1, .head_dim = 96, .window = 0}};
  CHECK(kv_page_bytes(layers, KvType::F32) == 2 * 2 * 64 * 64 * 4);
  CHECK(kv_page_bytes(layers, KvType::F16) == 2 * 2 * 64 * 64 * 2);
  CHECK(kv_page_bytes(layers, KvType::BF16) == 2 * 2 * 64 * 64 * 2);
  CHECK(kv_page_bytes(layers, KvType::Q8_0) == 2 * 2 * 64 * 2 * 34);
}

TEST_CASE("Q8_0 refuses heads that are not whole blocks, and absurd sizes do not wrap") {
  const KvLayer odd[] = {{.n_kv_heads = 1, .head_dim = 80, .window = 0}};
  const KvLayer huge[] = {{.n_kv_heads = ~0u, .head_dim = ~0u, .window = 0}};
  const auto code = [](std::span<const KvLayer> layers, KvType type) {
    try {
      kv_page_bytes(layers, type);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  CHECK(code(odd, KvType::Q8_0) == ErrorCode::unsupported);
  CHECK(code(huge, KvType::F32) == ErrorCode::limit);
}

TEST_CASE("pages needed, by hand") {
  const KvLayer full[] = {layer()}, window[] = {layer(100)}, both[] = {layer(), layer(100)};
  CHECK(kv_pages_needed(full, 1, 512) == 1);
  CHECK(kv_pages_needed(full, 64, 512) == 1);
  CHECK(kv_pages_needed(full, 65, 512) == 2);
  CHECK(kv_pages_needed(window, 100, 1) == 2);
  // 99 positions behind and one new: from position 63 on they touch three pages, and so do the 99 positions
  // before the beginning of the step.
  CHECK(kv_pages_needed(window, 4096, 1) == 3 + 3);
  CHECK(kv_pages_needed(window, 4096, 512) == 3 + 11);
  CHECK(kv_pages_needed(both, 4096, 1) == 64 + 6);
}

TEST_CASE("no sequence within its context needs more pages than that") {
  Random random(1);
  for (int trial = 0; trial < 400; ++trial) {
    std::vector<KvLayer> layers;
    for (std::uint32_t i = 0; i <= random() % 3; ++i)
      layers.push_back(layer(random() % 2 * (random() % 300 + 1)));
    const std::uint32_t context = random() % 900 + 1, chunk = random() % 200 + 1;
    const auto needed = static_cast<std::uint32_t>(kv_pages_needed(layers, context, chunk));
    KvCache cache(layers, needed);
    for (int run = 0; run < 4; ++run) {
      KvSequence sequence = cache.make_sequence();
      std::uint32_t keep = 0;  // where the step began that the next batch belongs to
      int failures = 5;
      while (sequence.length < context) {
        const std::uint32_t n = std::min(context - sequence.length, random() % chunk + 1);
        REQUIRE(cache.reserve(sequence, n, keep).empty());
        REQUIRE(cache.free_pages() + held(sequence) == needed);
        check_present(cache, sequence, n);
        // A step of one batch may leave its end drafted; then some of that joins, and the next step begins.
        if (keep == sequence.length && random() % 2 == 0) {
          cache.commit(sequence, n, random() % (n + 1));
          sequence.length += random() % (sequence.drafted + 1);
          check_present(cache, sequence, 0);
          keep = sequence.length;
          continue;
        }
        cache.commit(sequence, n);
        if (failures > 0 && random() % 8 == 0) {
          --failures;
          REQUIRE(cache.rewind(sequence, keep));
          check_present(cache, sequence, 0);
        }
        if (random() % 4 == 0) keep = sequence.length;
      }
      cache.release(sequence);
      REQUIRE(cache.free_pages() == needed);
    }
  }
}

TEST_CASE("some sequence needs as many pages as that") {
  Random random(2);
  for (int trial = 0; trial < 60; ++trial) {
    const KvLayer one[] = {layer(random() % 200 + 1)};
    const std::uint32_t context = random() % 700 + 1, chunk = random() % 200 + 1;
    std::uint64_t most = 0;
    for (std::uint32_t length = 0; length < context; ++length) {
      for (std::uint32_t keep = 0; keep <= length; ++keep) {
        const std::uint32_t begin = first_visible(one[0], length) / size;
        const std::uint32_t end = (std::min(context, length + chunk) + size - 1) / size;
        const std::uint32_t kept = first_visible(one[0], keep) / size;
        const std::uint32_t kept_end = std::max(kept, std::min(begin, (keep + size - 1) / size));
        most = std::max<std::uint64_t>(most, end - begin + (kept_end - kept));
      }
    }
    REQUIRE(kv_pages_needed(one, context, chunk) == most);
  }
}

TEST_CASE("a window gives its pages back") {
  KvCache cache({layer(64)}, 3);
  KvSequence sequence = cache.make_sequence();
  for (std::uint32_t i = 0; i < 50 * size; ++i) {
    cache.reserve(sequence, 1);
    cache.commit(sequence, 1);
  }
  CHECK(held(sequence) <= 2);
  CHECK(sequence.pages[0].front() == no_page);
}

TEST_CASE("a refused reservation changes nothing") {
  KvCache cache({layer(), layer(10)}, 5);
  KvSequence sequence = cache.make_sequence();
  cache.reserve(sequence, 2 * size);
  cache.commit(sequence, 2 * size);
  const KvSequence before = sequence;
  REQUIRE(cache.free_pages() == 1);
  // One page is free and the windowed layer gives one back: two layers can each get one more, not two.
  CHECK(reserve_error(cache, sequence, size + 1) == ErrorCode::out_of_memory);
  CHECK(sequence.pages == before.pages);
  CHECK(sequence.length == before.length);
  CHECK(cache.free_pages() == 1);
  CHECK(cache.reserve(sequence, size).empty());
  CHECK(cache.free_pages() == 0);
}

TEST_CASE("a fork shares its past and copies only the page it writes") {
  KvCache cache({layer(), layer()}, 12);
  KvSequence first = cache.make_sequence();
  cache.reserve(first, size + 10);
  cache.commit(first, size + 10);
  REQUIRE(cache.free_pages() == 8);
  KvSequence second = cache.fork(first);
  REQUIRE(cache.free_pages() == 8);

  const std::vector<PageCopy> copies = cache.reserve(second, 1);
  REQUIRE(copies.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(copies[i].from == first.pages[i][1]);
    CHECK(copies[i].to == second.pages[i][1]);
    CHECK(second.pages[i][0] == first.pages[i][0]);
  }
  cache.commit(second, 1);
  CHECK(cache.reserve(first, 1).empty());  // alone on its last page again
  CHECK(cache.reserve(second, 1).empty());

  cache.release(first);
  CHECK(cache.free_pages() == 8);
  cache.release(second);
  CHECK(cache.free_pages() == 12);
}

TEST_CASE("a fork at a page's end copies nothing, and takes no room reserved but not used") {
  KvCache cache({layer()}, 4);
  KvSequence first = cache.make_sequence();
  cache.reserve(first, size);
  cache.commit(first, size);
  cache.reserve(first, 1);
  KvSequence second = cache.fork(first);
  CHECK(second.pages[0].size() == 1);
  CHECK(cache.reserve(second, 1).empty());
  CHECK(second.pages[0][1] != first.pages[0][1]);
}

TEST_CASE("rewinding gives pages back, and refuses where a window has passed") {
  KvCache cache({layer(), layer(32)}, 20);
  KvSequence sequence = cache.make_sequence();
  for (int i = 0; i < 4; ++i) {
    cache.reserve(sequence, size);
    cache.commit(sequence, size);
  }
  cache.reserve(sequence, 1);
  const KvSequence before = sequence;
  CHECK_FALSE(cache.rewind(sequence, sequence.length + 1));
  CHECK_FALSE(cache.rewind(sequence, 2 * size));
  CHECK(sequence.pages == before.pages);
  CHECK(sequence.length == before.length);
  CHECK(cache.rewind(sequence, 4 * size));
  CHECK(cache.rewind(sequence, 3 * size + 32));
  check_present(cache, sequence, 0);
  CHECK(cache.rewind(sequence, 0));
  CHECK(cache.free_pages() == 20);
}

TEST_CASE("random sequences that fork, grow, rewind and end never lose or share a page wrongly") {
  Random random(3);
  KvCache cache({layer(), layer(90)}, 120);
  std::vector<KvSequence> sequences;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t what = random() % 10;
    if (what == 0 && sequences.size() < 6) sequences.push_back(cache.make_sequence());
    if (sequences.empty()) continue;
    KvSequence& sequence = sequences[random() % sequences.size()];
    if (what == 1 && sequences.size() < 6) {
      KvSequence copy = cache.fork(sequence);
      sequences.push_back(std::move(copy));
    } else if (what == 2) {
      cache.rewind(sequence, random() % (sequence.length + 1));
    } else if (what == 3) {
      std::swap(sequence, sequences.back());
      cache.release(sequences.back());
      sequences.pop_back();
    } else if (sequence.length < 800) {
      const std::uint32_t n = random() % 100;
      try {
        const auto copies = cache.reserve(sequence, n);
        // What is about to be written belongs to this sequence alone.
        for (std::size_t l = 0; l < 2; ++l) {
          for (std::uint32_t p = sequence.length / size; p * size < sequence.length + n; ++p) {
            const PageId page = sequence.pages[l][p];
            std::size_t owners = 0;
            for (const KvSequence& other : sequences) {
              owners +=
                  static_cast<std::size_t>(std::count(other.pages[l].begin(), other.pages[l].end(), page));
            }
            REQUIRE(owners == 1);
          }
        }
        cache.commit(sequence, n);
      } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::out_of_memory);
      }
    }
    std::set<PageId> used;
    for (const KvSequence& s : sequences) {
      for (const auto& pages : s.pages) used.insert(pages.begin(), pages.end());
    }
    used.erase(no_page);
    REQUIRE(cache.free_pages() + used.size() == 120);
  }
}
