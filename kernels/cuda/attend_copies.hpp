// Pages of the cache on their way to a block's shared memory, and where everything lies there.
// Below attend_tiles.hpp, which computes with it.
#pragma once

#include "kernels/cuda/attend_operands.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t attend_warps = attend_span / kv_page_size;
// Columns of outputs of a block; a larger head_dim takes several, each of which computes all weights.
inline constexpr std::uint32_t attend_columns = 64 * attend_warps;

// Where things lie in a block's shared memory, in bytes. M: tiles of 16 queries.
struct AttendPlaces {
  std::uint32_t weights, stages, key_scales, value_scales, ranges, factors, maxima, sums, bytes;
};
template <KvType type, std::uint32_t M>
inline constexpr std::uint32_t attend_depth = M == 1 ? 4 : 3;  // stages of a warp
// Of Q8_0's scales of a head's keys in a page, and of its values.
constexpr std::uint32_t scale_bytes(std::uint32_t head_dim) { return kv_page_size * 2 / 32 * head_dim; }
template <KvType type, std::uint32_t M>
constexpr AttendPlaces attend_places(std::uint32_t head_dim) {
  constexpr std::uint32_t steps = stage_steps<type>, queries = 16 * M;
  const std::uint32_t key_steps = (head_dim + 16 * steps - 1) / (16 * steps) * steps;
  AttendPlaces p{};
  // First queries: (M, steps, terms, lane, a).
  p.weights = M * key_steps * KvOperands<type>::Keys::terms * 512;
  p.stages = p.weights + queries * attend_span * 4;  // weights (page, M, step, half of rows, lane, 4)
  p.key_scales = p.stages + attend_warps * attend_depth<type, M> * stage_bytes;
  p.value_scales = p.key_scales + (type == KvType::Q8_0 ? attend_warps * scale_bytes(head_dim) : 0);
  p.ranges = p.value_scales + (p.value_scales - p.key_scales);  // (queries, 2)
  p.factors = p.ranges + queries * 8;
  p.maxima = p.factors + queries * 4;              // (warps, queries)
  p.sums = p.maxima + attend_warps * queries * 4;  // likewise
  p.bytes = p.sums + attend_warps * queries * 4;
  return p;
}

// What a thread knows of its block's work.
struct AttendWork {
  AttendTile tile;
  AttendPlaces at;
  std::uint32_t first_column, slices, stretches;  // of outputs; slices of 64 columns
  std::uint32_t slice, stretch;                   // this warp's; a stretch beyond: none
  // Of the span:
  std::uint32_t first, begin, end;           // positions
  const std::byte* keys;                     // of the warp's page
  std::uint32_t key_stages;                  // 0 where no position of the warp's is seen
  std::uint32_t first_page, n_value_stages;  // pages
};

// What a warp copies in the background.
template <KvType type>
struct AttendCopies {
  static constexpr std::uint32_t steps = stage_steps<type>, page_stages = 4 / steps;
  const AttendShape& shape;
  const PagesOfLayer& pages;
  const AttendWork& w;

  NIBBLE_DEVICE static std::uint32_t warp() { return device::thread() / device::warp_size; }
  NIBBLE_DEVICE static std::uint32_t lane() { return device::thread() % device::warp_size; }

  // Of a head in a page of the span, which some query sees.
  NIBBLE_DEVICE const std::byte* part(std::uint32_t page, std::uint32_t head) const {
    return pages.part(w.tile.sequence, w.first + page * kv_page_size, head);
  }

  // Stage n of the warp's, of keys and then of values; none after those.
  NIBBLE_DEVICE void copy_stage(std::uint32_t n, std::byte* to) const {
    if (n < w.key_stages)
      copy_keys(n, to);
    else if (n - w.key_stages < w.n_value_stages)
      copy_values(n - w.key_stages, to);
  }

  NIBBLE_DEVICE void copy_keys(std::uint32_t n, std::byte* to) const {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t from = n * stage_bytes + i * 512 + lane() * 16;
      device::copy_async16_or_zero(to + in_stage(i * 512, lane() * 16), w.keys + from,
                                   from < shape.head_dim * kv_page_size * kv_bytes<type>);
    }
  }

  // Zeros where no query sees the position: what lies there may be anything.
  NIBBLE_DEVICE void copy_values(std::uint32_t n, std::byte* to) const {
    constexpr std::uint32_t row_bytes = 64 * kv_bytes<type>, line_rows = 128 / row_bytes;
    const std::uint32_t page = w.first_page + n / page_stages, first_slot = n % page_stages * 4 * steps;
    const std::byte* head = part(page, shape.n_kv_heads + w.tile.kv_head);
    if (type != KvType::Q8_0 && shape.head_dim % 8 != 0)
      return copy_values_singly(page, first_slot, reinterpret_cast<const std::uint16_t*>(head), to);
    const std::uint32_t byte = lane() % 8 * 16, slot = lane() / 8 * 16 + first_slot + byte / row_bytes;
    const std::uint32_t column = w.first_column + w.slice * 64 + byte % row_bytes / kv_bytes<type>;
    const std::byte* from = head + (slot * shape.head_dim + column) * kv_bytes<type>;
    const std::uint32_t position = w.first + page * kv_page_size + slot - w.begin;  // may wrap around
    const std::uint32_t n_seen = column < shape.head_dim ? w.end - w.begin : 0;
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i)
      device::copy_async16_or_zero(to + in_stage(i * 512, lane() * 16),
                                   from + i * line_rows * shape.head_dim * kv_bytes<type>,
                                   position + i * line_rows < n_seen);
  }
  // Rows that do not begin at multiples of sixteen bytes.
  NIBBLE_DEVICE void copy_values_singly(std::uint32_t page, std::uint32_t first_slot,
                                        const std::uint16_t* head, std::byte* to) const {
    for (std::uint32_t i = lane(); i < stage_bytes / 2; i += device::warp_size) {
      const std::uint32_t slot = i / 64 % 4 * 16 + first_slot + i / 256;
      const std::uint32_t column = w.first_column + w.slice * 64 + i % 64;
      const std::uint32_t position = w.first + page * kv_page_size + slot;
      *reinterpret_cast<std::uint16_t*>(to + in_stage(0, 2 * i)) =
          column < shape.head_dim && position - w.begin < w.end - w.begin
              ? head[slot * shape.head_dim + column]
              : 0;
    }
  }

  // Q8_0's scales of this warp's page, of keys and of values.
  NIBBLE_DEVICE void copy_scales() const {
    const std::uint32_t bytes = scale_bytes(shape.head_dim);
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 2; ++i) {
      const std::byte* from =
          part(warp(), w.tile.kv_head + i * shape.n_kv_heads) + std::size_t{kv_page_size} * shape.head_dim;
      std::byte* to = device::shared() + (i == 0 ? w.at.key_scales : w.at.value_scales) + warp() * bytes;
      for (std::uint32_t at = lane() * 16; at < bytes; at += device::warp_size * 16)
        device::copy_async16(to + at, from + at);
    }
  }
};

}  // namespace nibble::inline v0::cuda
