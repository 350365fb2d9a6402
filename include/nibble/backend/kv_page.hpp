// How a page of keys and values is arranged, in the reference, every CPU tier and CUDA alike: saved states
// fit them all. Written and read here one position at a time; the CPU's attention reads the bytes as drawn.
//
//   page      keys of head 0 | of head 1 | ... | values of head 0 | of head 1 | ...   kv_head_bytes each
//   keys      (head_dim, kv_page_size): turned, so that one load takes one column of neighbouring positions
//   values    (kv_page_size, head_dim)
//
// F32, F16, BF16: elements, little-endian. Q8_0: int8 codes so arranged, then scales d as halves: of keys
// (head_dim / 32, kv_page_size), of values (kv_page_size, head_dim / 32); value = d * code.
#pragma once

#include <cstddef>

#include "nibble/backend/kv_cache.hpp"

namespace nibble::inline v0 {

enum class KvPart : std::uint8_t { keys, values };

// Elements of Q8_0 that share a scale.
inline constexpr std::size_t kv_scale_block = 32;

// Bytes of one head's keys in a page, and of its values.
NIBBLE_API std::size_t kv_head_bytes(KvType type, std::size_t head_dim) noexcept;

// One position's key or value (head_dim), at a slot of one head's part of a page.
NIBBLE_API void write_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, const float* in,
                           std::byte* head) noexcept;
NIBBLE_API void read_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot,
                          const std::byte* head, float* out) noexcept;

}  // namespace nibble::inline v0
