// Pages of keys and values: who holds which, who shares them, and how many a context can ever need.
// Beside every backend; the engine asks for room here before each batch.
#include "nibble/backend/kv_cache.hpp"

#include <algorithm>

#include "nibble/core/checked.hpp"
#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

std::uint64_t pages_for(std::uint64_t positions) { return (positions + kv_page_size - 1) / kv_page_size; }

}  // namespace

std::string_view to_string(KvType type) noexcept {
  switch (type) {
    case KvType::F16: return "f16";
    case KvType::F32: return "f32";
    case KvType::BF16: return "bf16";
    case KvType::Q8_0: return "q8_0";
  }
  return "unknown";
}

const Format& kv_format(KvType type) noexcept {
  switch (type) {
    case KvType::F32: return *find_format(Dtype::F32);
    case KvType::BF16: return *find_format(Dtype::BF16);
    case KvType::Q8_0: return *find_format("Q8_0");
    default: return *find_format(Dtype::F16);
  }
}

std::uint64_t kv_page_bytes(std::span<const KvLayer> layers, KvType type) {
  const Format& format = kv_format(type);
  std::uint64_t widest = 0;
  for (const KvLayer& layer : layers) {
    if (layer.head_dim % format.block_size != 0) {
      throw Error({.code = ErrorCode::unsupported,
                   .source = "KV cache",
                   .field = "head_dim",
                   .found = std::to_string(layer.head_dim),
                   .allowed = "multiples of " + std::to_string(format.block_size) + " for " +
                              std::string(format.name)});
    }
    const auto heads = checked_mul(2ull * kv_page_size, layer.n_kv_heads);
    const auto bytes = heads ? checked_mul(*heads, row_bytes(format, layer.head_dim)) : heads;
    if (!bytes) throw Error({.code = ErrorCode::limit, .source = "KV cache", .field = "page bytes"});
    widest = std::max(widest, *bytes);
  }
  return widest;
}

// Most pages of a windowed layer: what queries from `length` on see and write, at most window - 1 + chunk
// positions from `begin` on, and before it what those from an earlier `keep` on see, window - 1 positions.
// Both touch most pages where they begin at a page's end; `begin` is as late as the context allows, or at the
// end of the page before.
std::uint64_t kv_pages_needed(std::span<const KvLayer> layers, std::uint32_t context, std::uint32_t chunk) {
  std::uint64_t total = 0;
  for (const KvLayer& layer : layers) {
    const std::uint64_t behind = std::uint64_t{layer.window} - 1, held = behind + std::min(chunk, context);
    if (layer.window == 0 || held >= context) {
      total += pages_for(context);
      continue;
    }
    const auto pages_from = [&](std::uint64_t begin) {
      return std::min(begin / kv_page_size, pages_for(behind + kv_page_size - 1)) +
             pages_for(begin % kv_page_size + held);
    };
    const std::uint64_t last = context - held, page = last / kv_page_size * kv_page_size;
    total += std::max(pages_from(last), page == 0 ? 0 : pages_from(page - 1));
  }
  return total;
}

KvCache::KvCache(std::vector<KvLayer> layers, std::uint32_t n_pages)
    : layers_(std::move(layers)), shares_(n_pages, 0) {
  free_.reserve(n_pages);
  for (std::uint32_t i = n_pages; i > 0; --i) free_.push_back(i - 1);
}

KvSequence KvCache::make_sequence() const {
  return {.length = 0, .drafted = 0, .pages = std::vector<std::vector<PageId>>(layers_.size())};
}

std::vector<PageCopy> KvCache::reserve(KvSequence& sequence, std::uint32_t n, std::uint32_t keep) {
  // Page p of a layer is dropped where queries from `length` on do not see it, nor those from `keep` on.
  const auto is_dropped = [&](const KvLayer& layer, std::size_t p) {
    const bool kept = p * kv_page_size < keep && p >= first_visible(layer, keep) / kv_page_size;
    return p < first_visible(layer, sequence.length) / kv_page_size && !kept;
  };
  const std::size_t first_written = sequence.length / kv_page_size;
  const std::size_t n_pages = pages_for(std::uint64_t{sequence.length} + n);

  // Count first, so that a refusal leaves everything as it was.
  std::size_t taken = 0, returned = 0, copied = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::vector<PageId>& pages = sequence.pages[i];
    for (std::size_t p = 0; p < pages.size(); ++p)
      returned += pages[p] != no_page && shares_[pages[p]] == 1 && is_dropped(layers_[i], p);
    const bool shared = first_written < std::min(n_pages, pages.size()) && shares_[pages[first_written]] > 1;
    copied += shared;
    taken += shared + (n_pages > pages.size() ? n_pages - pages.size() : 0);
    pages.reserve(n_pages);
  }
  if (taken > free_.size() + returned) {
    throw Error({.code = ErrorCode::out_of_memory,
                 .source = "KV cache",
                 .field = "pages",
                 .found = std::to_string(taken),
                 .allowed = "at most " + std::to_string(free_.size() + returned)});
  }
  std::vector<PageCopy> copies;
  copies.reserve(copied);

  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::vector<PageId>& pages = sequence.pages[i];
    for (std::size_t p = 0; p < pages.size(); ++p) {
      if (is_dropped(layers_[i], p)) give_back(pages[p]);
    }
  }
  for (std::vector<PageId>& pages : sequence.pages) {
    if (first_written < std::min(n_pages, pages.size()) && shares_[pages[first_written]] > 1) {
      const PageId from = pages[first_written];
      --shares_[from];
      pages[first_written] = take();
      copies.push_back({from, pages[first_written]});
    }
    while (pages.size() < n_pages) pages.push_back(take());
  }
  return copies;
}

void KvCache::commit(KvSequence& sequence, std::uint32_t n, std::uint32_t drafted) noexcept {
  sequence.length += n - drafted;
  sequence.drafted = drafted;
}

KvSequence KvCache::fork(const KvSequence& sequence) {
  KvSequence copy = sequence;
  copy.drafted = 0;
  for (std::vector<PageId>& pages : copy.pages) {
    pages.resize(std::min<std::size_t>(pages.size(), pages_for(copy.length)));
    for (PageId page : pages) {
      if (page != no_page) ++shares_[page];
    }
  }
  return copy;
}

bool KvCache::rewind(KvSequence& sequence, std::uint32_t length) noexcept {
  if (length > sequence.length) return false;
  const std::size_t n_pages = pages_for(length);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (std::size_t p = first_visible(layers_[i], length) / kv_page_size; p < n_pages; ++p) {
      if (sequence.pages[i][p] == no_page) return false;
    }
  }
  for (std::vector<PageId>& pages : sequence.pages) {
    for (; pages.size() > n_pages; pages.pop_back()) give_back(pages.back());
  }
  sequence.length = length;
  sequence.drafted = 0;
  return true;
}

void KvCache::release(KvSequence& sequence) noexcept {
  for (std::vector<PageId>& pages : sequence.pages) {
    for (PageId& page : pages) give_back(page);
    pages.clear();
  }
  sequence.length = 0;
  sequence.drafted = 0;
}

PageId KvCache::take() noexcept {
  const PageId page = free_.back();
  free_.pop_back();
  shares_[page] = 1;
  return page;
}

void KvCache::give_back(PageId& page) noexcept {
  if (page != no_page && --shares_[page] == 0) free_.push_back(page);
  page = no_page;
}

}  // namespace nibble::inline v0
