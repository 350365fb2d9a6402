// The bookkeeping of cached keys and values: fixed-size pages from one pool, a page table per sequence and
// layer. Backends own the memory; this says which page holds which positions, and is the same for all of
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/model/plan.hpp"
#include "nibble/quant/format.hpp"

namespace nibble::inline v0 {

enum class KvType : std::uint8_t { F16, F32, BF16, Q8_0 };
NIBBLE_API std::string_view to_string(KvType type) noexcept;

// Positions in a page: attention walks whole pages in order and merges them in that order.
inline constexpr std::uint32_t kv_page_size = 64;

using PageId = std::uint32_t;
inline constexpr PageId no_page = ~0u;

// The format in which a cache of this type keeps rows of keys and values, head_dim elements each.
NIBBLE_API const Format& kv_format(KvType type) noexcept;
// Bytes of one page: (2, n_kv_heads, kv_page_size, head_dim) elements, keys then values, of the widest layer.
// Errors: unsupported (a head_dim that is not a multiple of 32 in Q8_0), limit (more than 64 bits).
NIBBLE_API std::uint64_t kv_page_bytes(std::span<const KvLayer> layers, KvType type);
// The first position that a query at `length` or later sees.
constexpr std::uint32_t first_visible(const KvLayer& layer, std::uint32_t length) noexcept {
  return layer.window == 0 || length < layer.window ? 0 : length - layer.window + 1;
}
// The sum over layers of the most pages that one sequence of `context` positions holds, when it grows by at
// most `chunk` positions a batch: a windowed layer needs its window and the chunk, and its window once more
// to go back to the beginning of a step, not the context.
NIBBLE_API std::uint64_t kv_pages_needed(std::span<const KvLayer> layers, std::uint32_t context,
                                         std::uint32_t chunk);

// The pages of one sequence. pages[layer][p / kv_page_size] holds position p; no_page where its window has
// passed.
struct KvSequence {
  std::uint32_t length = 0;   // positions stored in every layer (or dropped by its window)
  std::uint32_t drafted = 0;  // positions stored after them that may still join
  std::vector<std::vector<PageId>> pages;
};

// A page to be copied before a batch runs: a fork's last page, about to be written. The copy must be made
// even if that batch is then given up, for the sequence has left the shared page.
struct PageCopy {
  PageId from, to;
};

// Hands out pages and counts who shares them. Not thread-safe: owned by one Engine, used under its lock.
class NIBBLE_API KvCache {
 public:
  KvCache(std::vector<KvLayer> layers, std::uint32_t n_pages);

  KvSequence make_sequence() const;
  // Makes room for positions [length, length + n) in every layer, drops pages that no position from `length`
  // on can see, nor one from `keep` <= length on (where a step of several batches may have to go back to),
  // and returns the copies to make first. All or nothing. Errors: out_of_memory (pool exhausted). The length
  // is unchanged: commit() advances it once the batch has run, by n less those it leaves drafted; rewind() to
  // the length gives the room back if it has not.
  std::vector<PageCopy> reserve(KvSequence& sequence, std::uint32_t n, std::uint32_t keep = ~0u);
  void commit(KvSequence& sequence, std::uint32_t n, std::uint32_t drafted = 0) noexcept;
  // A second sequence with the same past; pages are shared until one of them writes.
  KvSequence fork(const KvSequence& sequence);
  // Forgets positions from `length` on. False, and nothing happens, where a window has already dropped what
  // continuing from there would see.
  bool rewind(KvSequence& sequence, std::uint32_t length) noexcept;
  void release(KvSequence& sequence) noexcept;

  std::uint32_t free_pages() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  std::span<const KvLayer> layers() const noexcept { return layers_; }

 private:
  PageId take() noexcept;
  void give_back(PageId& page) noexcept;  // one share of it; leaves no_page

  std::vector<KvLayer> layers_;
  std::vector<PageId> free_;
  std::vector<std::uint32_t> shares_;  // per page: sequences that use it
};

}  // namespace nibble::inline v0
