// The bytes of a saved sequence: what they must say before any of them is believed.
// Between Engine and files; little-endian, every field in fixed order, nothing optional.
//
//   0 magic "nibbleKV"   8 version u32      12 KV type u32     16 fingerprint u64   24 layout u64
//  32 page bytes u64    40 length u32       44 n_tokens u32    48 n_logits u32      52 n_pages u32
//  56 tokens (n_tokens) i32, logits (n_logits) f32, pages (n_pages, page bytes), checksum u64
//
// The pages are those that a sequence of `length` positions needs to go on, layer by layer, oldest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/backend/kv_cache.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {

// What a state must share with the engine that takes it up.
struct StateKey {
  KvType kv_type = KvType::F16;
  std::uint64_t fingerprint = 0;  // of the model
  std::uint64_t layout = 0;       // of a page's contents: backend and layers
  std::uint64_t page_bytes = 0;

  friend bool operator==(const StateKey&, const StateKey&) = default;
};

// What the state's numbers may be.
struct StateBounds {
  std::span<const KvLayer> layers;
  std::uint32_t context = 0;
  std::uint32_t vocab_size = 0;
};

// A state's parts; spans point into its bytes, at any alignment.
struct StateParts {
  StateKey key;
  std::uint32_t length = 0;
  std::span<const std::byte> tokens;  // (n_tokens) i32
  std::span<const std::byte> logits;  // (n_logits) f32
  std::span<const std::byte> pages;   // (n_pages, page_bytes)
};

// Number of the first page of `layer` that going on from `length` needs; those after it are needed too.
std::uint32_t first_needed_page(const KvLayer& layer, std::uint32_t length) noexcept;
// All pages that going on from `length` needs.
std::uint64_t count_needed_pages(std::span<const KvLayer> layers, std::uint32_t length) noexcept;

// A state with its pages still to be filled in at `pages`; seal_state() then completes it.
struct StateDraft {
  std::vector<std::byte> bytes;
  std::span<std::byte> pages;  // (n_pages, page_bytes), within bytes
};
StateDraft draft_state(const StateKey& key, std::uint32_t length, std::uint64_t n_pages,
                       std::span<const TokenId> tokens, std::span<const float> logits);
void seal_state(std::span<std::byte> bytes) noexcept;

// Checks everything about a state and takes it apart. Errors: those of Engine::restore, positioned.
StateParts parse_state(std::span<const std::byte> bytes, const StateKey& key, const StateBounds& bounds,
                       std::string_view source);

}  // namespace nibble::inline v0
