// What a block of attention takes, how spans of the past come together, and the kernel that merges them.
// Between pass.cpp, which lays out the grid, and the kernels of attend_floats.hpp and attend_tiles.hpp.
//
// A span is 256 positions, beginning at multiples of that, so that a result depends on positions alone: what
// one query gives depends neither on the queries that share its block nor on who does its other spans.
#pragma once

#include "kernels/cuda/kv_kernels.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/row_kernels.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t attend_span = 256;

// Queries of a block: rows [first_row, + n_rows) of the output, neighbours in one sequence, times heads of
// one KV head's group; query i is of row i / group.
struct AttendTile {
  std::uint32_t first_row = 0, n_rows = 0, kv_head = 0, sequence = 0;
  std::uint32_t first_head = 0, n_queries = 0;  // the first of the group's; in all
  std::uint32_t begin = 0, end = 0;             // positions that any of them sees

  NIBBLE_DEVICE std::uint32_t first_span() const { return begin / attend_span; }
  NIBBLE_DEVICE std::uint32_t end_span() const { return (end - 1) / attend_span + 1; }
};

// Blocks are (chunks of `rows` rows, KV heads, parts of a group), the longest first. A chunk may hold rows of
// several sequences: `run` says which of them.
struct AttendShape {
  std::uint32_t n_kv_heads, group, head_dim, window;
  std::uint32_t n_rows, rows;    // of the output, and of a chunk: at most 32
  std::uint32_t queries, parts;  // most of a block; parts above 1: rows is 1
  std::uint32_t runs;
  const std::uint32_t* token;                  // of each row of the output, or null: the same
  const std::uint32_t *positions, *sequences;  // (tokens)

  NIBBLE_DEVICE std::uint32_t token_of(std::uint32_t row) const {
    return token == nullptr ? row : token[row];
  }
  NIBBLE_DEVICE std::uint32_t begin(std::uint32_t row) const {
    const std::uint32_t last = end(row);
    return window == 0 || last < window ? 0 : last - window;
  }
  NIBBLE_DEVICE std::uint32_t end(std::uint32_t row) const { return positions[token_of(row)] + 1; }
  // Of all query heads of the output.
  NIBBLE_DEVICE std::uint32_t query(const AttendTile& tile, std::uint32_t i) const {
    return (tile.first_row + i / group) * n_kv_heads * group + tile.kv_head * group + tile.first_head +
           i % group;
  }

  // n_rows 0: the chunk has no so many sequences. Called by whole warps.
  NIBBLE_DEVICE AttendTile tile(std::uint32_t block, std::uint32_t run) const {
    const std::uint32_t lane = device::thread() % device::warp_size;
    const std::uint32_t chunk = (n_rows - 1) / rows - block / (n_kv_heads * parts), first = chunk * rows;
    const std::uint32_t n = n_rows - first < rows ? n_rows - first : rows;
    const std::uint32_t sequence = lane < n ? sequences[token_of(first + lane)] : ~0u;
    const std::uint32_t before = device::shuffle(sequence, lane == 0 ? 0 : lane - 1);
    std::uint32_t starts = lane < n && (lane == 0 || sequence != before) ? 1u << lane : 0;
    for (std::uint32_t mask = 1; mask != device::warp_size; mask *= 2)
      starts |= device::shuffle_xor(starts, mask);
    std::uint32_t from = n, to = n, seen = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      if ((starts >> i & 1) == 0) continue;
      if (seen == run) from = i;
      if (seen == run + 1) to = i;
      ++seen;
    }
    AttendTile t{.first_row = first + from, .n_rows = to - from, .kv_head = block / parts % n_kv_heads};
    if (t.n_rows == 0) return t;
    t.sequence = device::shuffle(sequence, from);
    t.first_head = block % parts * queries;
    t.n_queries = parts == 1                       ? t.n_rows * group
                  : group - t.first_head < queries ? group - t.first_head
                                                   : queries;
    t.begin = begin(t.first_row);
    t.end = end(t.first_row + t.n_rows - 1);
    return t;
  }
};

// What so far is known of a query: its output is out / sum, if weights are relative to e^max. A sum of 0:
// nothing yet.
struct Softmax {
  float max, sum;
};
// How an output and one of the next span come together.
struct Weighing {
  float keep, add;
};

NIBBLE_DEVICE Weighing merge(Softmax& so_far, const Softmax& next) {
  if (next.sum == 0.0f) return {1.0f, 0.0f};
  if (so_far.sum == 0.0f) {
    so_far = next;
    return {0.0f, 1.0f};
  }
  const float max = device::max(so_far.max, next.max);
  const Weighing by{device::exp(so_far.max - max), device::exp(next.max - max)};
  so_far = {max, so_far.sum * by.keep + next.sum * by.add};
  return by;
}
NIBBLE_DEVICE float merged(float so_far, float next, const Weighing& by) {
  return by.keep == 0.0f  ? next * by.add
         : by.add == 0.0f ? so_far * by.keep
                          : so_far * by.keep + next * by.add;
}

// What an output is multiplied by in the end; `sinks`, a score beside those of the keys, with no value.
NIBBLE_DEVICE float last_factor(const Softmax& softmax, const float* sinks, std::uint32_t head) {
  if (sinks == nullptr) return 1.0f / softmax.sum;
  const float max = device::max(softmax.max, sinks[head]);
  const float keep = device::exp(softmax.max - max);
  return keep / (softmax.sum * keep + device::exp(sinks[head] - max));
}

// Partial results in device memory: outs (spans, queries, head_dim), then Softmax (spans, queries), of all
// queries of the output and of the spans that are done side by side; what is known so far is one span more.
struct Partials {
  float* data;
  std::uint32_t spans, queries, head_dim;

  NIBBLE_DEVICE float* out(std::uint32_t span, std::uint32_t query) const {
    return data + (std::size_t{span} * queries + query) * head_dim;
  }
  NIBBLE_DEVICE Softmax& softmax(std::uint32_t span, std::uint32_t query) const {
    return reinterpret_cast<Softmax*>(out(spans + 1, 0))[std::size_t{span} * queries + query];
  }
};

// Merges spans that were done side by side into what is known so far, and writes `out` after the last.
// Blocks (those of the shape, runs times pieces). Bound by latency: a thread asks for several spans at once,
// and where nobody reads what another block writes, after the last span, has one column.
struct MergeSpans {
  static constexpr std::uint32_t threads = 128, at_once = 8;
  AttendShape shape;
  Output out;
  const float* sinks;
  Partials partials;
  std::uint32_t first_span;  // of the spans, counted from the first that a tile sees
  bool is_last;
  std::uint32_t pieces;  // of a tile's outputs; 1 if it is not the last

  NIBBLE_DEVICE void operator()() const {
    const AttendTile tile = shape.tile(device::block_x(), device::block_y() % shape.runs);
    if (tile.n_rows == 0) return;
    const std::uint32_t n = tile.end_span() - tile.first_span(), known = partials.spans;
    const std::uint32_t left = n < first_span ? 0 : n - first_span, spans = left < known ? left : known;
    const std::uint32_t head_dim = shape.head_dim, piece = device::block_y() / shape.runs;
    for (std::uint32_t i = piece * threads + device::thread(); i < tile.n_queries * head_dim;
         i += pieces * threads) {
      const std::uint32_t query = shape.query(tile, i / head_dim), d = i % head_dim;
      Softmax so_far{0.0f, 0.0f};
      float value = 0.0f;
      if (first_span != 0) {
        so_far = partials.softmax(known, query);
        value = partials.out(known, query)[d];
      }
      for (std::uint32_t first = 0; first < spans; first += at_once)
        merge_some(first, spans, query, d, so_far, value);
      if (!is_last) {
        partials.out(known, query)[d] = value;
        continue;
      }
      const std::uint32_t n_heads = shape.n_kv_heads * shape.group, head = query % n_heads;
      out.row(query / n_heads)[std::size_t{head} * head_dim + d] = value * last_factor(so_far, sinks, head);
    }
    if (is_last) return;
    device::sync_block();
    for (std::uint32_t i = device::thread(); i < tile.n_queries; i += threads) {
      const std::uint32_t query = shape.query(tile, i);
      Softmax so_far{0.0f, 0.0f};
      if (first_span != 0) so_far = partials.softmax(known, query);
      for (std::uint32_t span = 0; span < spans; ++span) merge(so_far, partials.softmax(span, query));
      partials.softmax(known, query) = so_far;
    }
  }

  // Spans [first, first + at_once), or those up to `spans`.
  NIBBLE_DEVICE void merge_some(std::uint32_t first, std::uint32_t spans, std::uint32_t query,
                                std::uint32_t d, Softmax& so_far, float& value) const {
    Softmax softmax[at_once] = {};
    float values[at_once] = {};
    const std::uint32_t head_dim = partials.head_dim;
    const Softmax* softmaxes = &partials.softmax(first, query);
    const float* outs = partials.out(first, query) + d;
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < at_once; ++n) {
      if (first + n >= spans) continue;
      softmax[n] = softmaxes[std::size_t{n} * partials.queries];
      values[n] = outs[std::size_t{n} * partials.queries * head_dim];
    }
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < at_once; ++n) {
      if (first + n >= spans) return;
      const Weighing by = merge(so_far, softmax[n]);
      value = merged(value, values[n], by);
    }
  }
};

}  // namespace nibble::inline v0::cuda
