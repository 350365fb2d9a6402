// Attention over pages of floats: as exact as they are, without tensor cores; one thread a position.
// One of the kernels of attend_kernels.hpp. Equals Op::attend of the reference.
//
// Within a span scores are one chain of FMAs along head_dim each; the sum of their weights is eight a lane,
// then the lanes pair by pair; an output is one chain along the positions of each page, and the pages added
// in order.
#pragma once

#include "kernels/cuda/attend_shape.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t span_pages = attend_span / kv_page_size;

// Shared memory of a block, in floats: queries (head_dim, Q), weights (span, Q), outputs by page (span_pages,
// Q, head_dim), outputs (Q, head_dim), Softmax of the span and so far (2, Q).
constexpr std::uint64_t attend_floats_bytes(std::uint64_t Q, std::uint64_t head_dim) {
  return sizeof(float) * Q * (head_dim * (2 + span_pages) + attend_span + 4);
}

// Blocks (those of a shape of one row and Q queries; spans done side by side, or 1: all of them one after the
// other).
template <std::uint32_t Q>
struct AttendFloats {
  static constexpr std::uint32_t threads = attend_span;
  AttendShape shape;
  PagesOfLayer pages;
  Input q;             // (rows, n_kv_heads, group, head_dim)
  Output out;          // likewise
  const float* sinks;  // (n_kv_heads, group), or null
  float scale, softcap;
  Partials partials;         // data null: the block does all its spans and writes `out`
  std::uint32_t first_span;  // of the launch's spans, counted from the first that a tile sees

  // As attend_floats_bytes counts it.
  struct Shared {
    float *q, *weights, *by_page, *out;
    Softmax *span, *so_far;
  };

  NIBBLE_DEVICE Shared shared() const {
    auto* first = reinterpret_cast<float*>(device::shared());
    const std::uint32_t width = Q * shape.head_dim;
    Shared s{first, first + width, first + width + attend_span * Q, nullptr, nullptr, nullptr};
    s.out = s.by_page + span_pages * width;
    s.span = reinterpret_cast<Softmax*>(s.out + width);
    s.so_far = s.span + Q;
    return s;
  }

  NIBBLE_DEVICE void operator()() const {
    const AttendTile tile = shape.tile(device::block_x(), 0);
    const Shared s = shared();
    load_queries(s, tile);
    std::uint32_t span = tile.first_span();
    if (partials.data != nullptr) {
      span += first_span + device::block_y();
      if (span >= tile.end_span()) return;
      device::sync_block();
      compute_span(s, tile, span);
      for (std::uint32_t i = device::thread(); i < tile.n_queries * shape.head_dim; i += threads) {
        const std::uint32_t query = shape.query(tile, i / shape.head_dim);
        partials.out(device::block_y(), query)[i % shape.head_dim] = sum_of_pages(s, i);
      }
      if (device::thread() < tile.n_queries)
        partials.softmax(device::block_y(), shape.query(tile, device::thread())) = s.span[device::thread()];
      return;
    }
    if (device::thread() < Q) s.so_far[device::thread()] = {0.0f, 0.0f};
    device::sync_block();
    for (; span < tile.end_span(); ++span) {
      compute_span(s, tile, span);
      merge_span(s);
      device::sync_block();
    }
    const std::uint32_t head = tile.kv_head * shape.group + tile.first_head;
    float* to = out.row(tile.first_row) + std::size_t{head} * shape.head_dim;
    for (std::uint32_t i = device::thread(); i < tile.n_queries * shape.head_dim; i += threads) {
      const std::uint32_t g = i / shape.head_dim;
      to[i] = s.out[i] * last_factor(s.so_far[g], sinks, head + g);
    }
  }

  NIBBLE_DEVICE void load_queries(const Shared& s, const AttendTile& tile) const {
    const float* from =
        q.row(tile.first_row) + (std::size_t{tile.kv_head} * shape.group + tile.first_head) * shape.head_dim;
    for (std::uint32_t i = device::thread(); i < Q * shape.head_dim; i += threads) {
      const std::uint32_t g = i / shape.head_dim, d = i % shape.head_dim;
      s.q[d * Q + g] = g < tile.n_queries ? from[i] : 0.0f;
    }
  }

  // Weights, sums and outputs by page of one span.
  NIBBLE_DEVICE void compute_span(const Shared& s, const AttendTile& tile, std::uint32_t span) const {
    const std::uint32_t first = span * attend_span;
    const std::uint32_t begin = tile.begin > first ? tile.begin : first;
    const std::uint32_t end = tile.end < first + attend_span ? tile.end : first + attend_span;
    score(s, tile, first, begin, end);
    device::sync_block();
    for (std::uint32_t g = device::thread() / device::warp_size; g < Q; g += threads / device::warp_size)
      weigh(s, g);
    device::sync_block();
    add_values(s, tile, first, begin, end);
    device::sync_block();
  }

  // A thread is a position.
  NIBBLE_DEVICE void score(const Shared& s, const AttendTile& tile, std::uint32_t first, std::uint32_t begin,
                           std::uint32_t end) const {
    const std::uint32_t p = first + device::thread();
    float sum[Q] = {};
    const bool seen = p >= begin && p < end;
    if (seen) {
      const float* keys =
          reinterpret_cast<const float*>(pages.part(tile.sequence, p, tile.kv_head)) + p % kv_page_size;
      for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
        const float key = keys[std::size_t{d} * kv_page_size];
        NIBBLE_UNROLL
        for (std::uint32_t g = 0; g < Q; ++g) sum[g] = device::fma(s.q[d * Q + g], key, sum[g]);
      }
    }
    NIBBLE_UNROLL
    for (std::uint32_t g = 0; g < Q; ++g) {
      s.weights[device::thread() * Q + g] =
          seen ? soft_capped(sum[g] * scale, softcap) : device::float_of(0xff800000u);
    }
  }

  // Scores to weights, by one warp.
  NIBBLE_DEVICE void weigh(const Shared& s, std::uint32_t g) const {
    const std::uint32_t lane = device::thread() % device::warp_size;
    float max = device::float_of(0xff800000u);
    for (std::uint32_t p = lane; p < attend_span; p += device::warp_size)
      max = device::max(max, s.weights[p * Q + g]);
    for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2)
      max = device::max(max, device::shuffle_xor(max, mask));
    float sum = 0.0f;
    for (std::uint32_t p = lane; p < attend_span; p += device::warp_size) {
      const float weight = device::exp(s.weights[p * Q + g] - max);
      s.weights[p * Q + g] = weight;
      sum = sum + weight;
    }
    sum = sum_of_warp(sum);
    if (lane == 0) s.span[g] = {max, sum};
  }

  // A thread is a column of a page.
  NIBBLE_DEVICE void add_values(const Shared& s, const AttendTile& tile, std::uint32_t first,
                                std::uint32_t begin, std::uint32_t end) const {
    const std::uint32_t head_dim = shape.head_dim;
    for (std::uint32_t i = device::thread(); i < span_pages * head_dim; i += threads) {
      const std::uint32_t page = i / head_dim, d = i % head_dim;
      const std::uint32_t page_first = first + page * kv_page_size;
      const std::uint32_t from = begin > page_first ? begin : page_first;
      const std::uint32_t to = end < page_first + kv_page_size ? end : page_first + kv_page_size;
      float sum[Q] = {};
      if (from < to) {
        const float* values =
            reinterpret_cast<const float*>(pages.part(tile.sequence, from, shape.n_kv_heads + tile.kv_head));
        for (std::uint32_t p = from; p < to; ++p) {
          const float value = values[p % kv_page_size * head_dim + d];
          NIBBLE_UNROLL
          for (std::uint32_t g = 0; g < Q; ++g)
            sum[g] = device::fma(s.weights[(p - first) * Q + g], value, sum[g]);
        }
      }
      NIBBLE_UNROLL
      for (std::uint32_t g = 0; g < Q; ++g) s.by_page[(page * Q + g) * head_dim + d] = sum[g];
    }
  }

  NIBBLE_DEVICE float sum_of_pages(const Shared& s, std::uint32_t i) const {
    float sum = s.by_page[i];
    for (std::uint32_t page = 1; page < span_pages; ++page)
      sum = sum + s.by_page[page * Q * shape.head_dim + i];
    return sum;
  }

  NIBBLE_DEVICE void merge_span(const Shared& s) const {
    for (std::uint32_t i = device::thread(); i < Q * shape.head_dim; i += threads) {
      const std::uint32_t g = i / shape.head_dim;
      Softmax so_far = s.so_far[g];
      const float before = so_far.sum == 0.0f ? 0.0f : s.out[i];
      s.out[i] = merged(before, sum_of_pages(s, i), merge(so_far, s.span[g]));
    }
    device::sync_block();
    if (device::thread() < Q) merge(s.so_far[device::thread()], s.span[device::thread()]);
  }
};

}  // namespace nibble::inline v0::cuda
