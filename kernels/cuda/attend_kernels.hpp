// Attention over pages: one span of the past at a time, spans merged in order.
// Between pass.cpp, which says who does which span, and the cache. Equals Op::attend of the reference.
//
// A span is 256 positions, beginning at multiples of that, so that a result depends on positions alone.
// Within it scores are one chain of FMAs along head_dim each; the sum of their weights is eight a lane, then
// the lanes pair by pair; an output is one chain along the positions of each page, and the pages added in
// order. What one query gives does not depend on the queries that share its block, nor on who does its other
// spans.
#pragma once

#include "kernels/cuda/kv_kernels.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/row_kernels.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t attend_span = 256;
inline constexpr std::uint32_t span_pages = attend_span / kv_page_size;

// Which queries a block takes: up to Q of the query heads that share a KV head, of one row.
struct AttendShape {
  std::uint32_t n_kv_heads, group, head_dim, window, parts;  // parts: blocks that share a KV head's group
  const std::uint32_t* token;                                // of each row of the output, or null: the same
  const std::uint32_t *positions, *sequence;                 // (tokens)

  NIBBLE_DEVICE std::uint32_t row(std::uint32_t block) const { return block / (n_kv_heads * parts); }
  NIBBLE_DEVICE std::uint32_t kv_head(std::uint32_t block) const { return block / parts % n_kv_heads; }
  NIBBLE_DEVICE std::uint32_t token_of(std::uint32_t block) const {
    return token == nullptr ? row(block) : token[row(block)];
  }
  NIBBLE_DEVICE std::uint32_t end(std::uint32_t block) const { return positions[token_of(block)] + 1; }
  NIBBLE_DEVICE std::uint32_t begin(std::uint32_t block) const {
    const std::uint32_t last = end(block);
    return window == 0 || last < window ? 0 : last - window;
  }
  NIBBLE_DEVICE std::uint32_t first_span(std::uint32_t block) const { return begin(block) / attend_span; }
  NIBBLE_DEVICE std::uint32_t end_span(std::uint32_t block) const {
    return (end(block) - 1) / attend_span + 1;
  }
};

// What so far is known of a query: its output is out / sum, if weights are relative to e^max. A sum of 0:
// nothing yet.
struct Softmax {
  float max, sum;
};
// How an output and one of the next span come together: out * keep + next * add.
struct Weighing {
  float keep, add;
};

NIBBLE_DEVICE Weighing merge(Softmax& so_far, const Softmax& next) {
  if (so_far.sum == 0.0f) {
    so_far = next;
    return {0.0f, 1.0f};
  }
  const float max = device::max(so_far.max, next.max);
  const Weighing by{device::exp(so_far.max - max), device::exp(next.max - max)};
  so_far = {max, so_far.sum * by.keep + next.sum * by.add};
  return by;
}

// What an output is multiplied by in the end; `sinks`, a score beside those of the keys, with no value.
NIBBLE_DEVICE float last_factor(const Softmax& softmax, const float* sinks, std::uint32_t head) {
  if (sinks == nullptr) return 1.0f / softmax.sum;
  const float max = device::max(softmax.max, sinks[head]);
  const float keep = device::exp(softmax.max - max);
  return keep / (softmax.sum * keep + device::exp(sinks[head] - max));
}

// Partial results in device memory: of each block and span, outs (Q, head_dim) and then Softmax (Q).
struct Partials {
  float* data;
  std::uint32_t queries, head_dim;

  NIBBLE_DEVICE float* out(std::size_t n) const { return data + n * queries * (head_dim + 2); }
  NIBBLE_DEVICE Softmax* softmax(std::size_t n) const {
    return reinterpret_cast<Softmax*>(out(n) + queries * head_dim);
  }
};

// Shared memory of a block, in floats: queries (head_dim, Q), weights (span, Q), outputs by page (span_pages,
// Q, head_dim), outputs (Q, head_dim), Softmax of the span and so far (2, Q).
constexpr std::uint64_t attend_shared_bytes(std::uint64_t Q, std::uint64_t head_dim) {
  return sizeof(float) * Q * (head_dim * (2 + span_pages) + attend_span + 4);
}

// Blocks (rows * n_kv_heads * parts, spans done side by side, or 1: all of them one after the other).
template <KvType type, std::uint32_t Q>
struct Attend {
  static constexpr std::uint32_t threads = attend_span;
  AttendShape shape;
  PagesOfLayer pages;
  Input q;             // (rows, n_kv_heads, group, head_dim)
  Output out;          // likewise
  const float* sinks;  // (n_kv_heads, group), or null
  float scale, softcap;
  Partials partials;         // data null: the block does all its spans and writes `out`
  std::uint32_t first_span;  // of the launch's, counted from the first that each row sees

  // As attend_shared_bytes counts it.
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
  NIBBLE_DEVICE std::uint32_t first_query() const { return device::block_x() % shape.parts * Q; }
  NIBBLE_DEVICE std::uint32_t n_queries() const {
    const std::uint32_t left = shape.group - first_query();
    return left < Q ? left : Q;
  }

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t block = device::block_x();
    const Shared s = shared();
    load_queries(s);
    std::uint32_t span = shape.first_span(block), end = shape.end_span(block);
    if (partials.data != nullptr) {
      span += first_span + device::block_y();
      if (span >= end) return;
      device::sync_block();
      compute_span(s, span);
      const std::size_t n = std::size_t{block} + std::size_t{device::block_y()} * blocks();
      for (std::uint32_t i = device::thread(); i < Q * shape.head_dim; i += threads)
        partials.out(n)[i] = sum_of_pages(s, i);
      if (device::thread() < Q) partials.softmax(n)[device::thread()] = s.span[device::thread()];
      return;
    }
    if (device::thread() < Q) s.so_far[device::thread()] = {0.0f, 0.0f};
    device::sync_block();
    for (; span < end; ++span) {
      compute_span(s, span);
      merge_span(s);
      device::sync_block();
    }
    const std::uint32_t head = shape.kv_head(block) * shape.group + first_query();
    float* to = out.row(shape.row(block)) + std::size_t{head} * shape.head_dim;
    for (std::uint32_t i = device::thread(); i < n_queries() * shape.head_dim; i += threads) {
      const std::uint32_t g = i / shape.head_dim;
      to[i] = s.out[i] * last_factor(s.so_far[g], sinks, head + g);
    }
  }

  NIBBLE_DEVICE std::uint32_t blocks() const { return device::blocks_x(); }

  NIBBLE_DEVICE void load_queries(const Shared& s) const {
    const std::uint32_t block = device::block_x();
    const float* from = q.row(shape.row(block)) +
                        (std::size_t{shape.kv_head(block)} * shape.group + first_query()) * shape.head_dim;
    for (std::uint32_t i = device::thread(); i < Q * shape.head_dim; i += threads) {
      const std::uint32_t g = i / shape.head_dim, d = i % shape.head_dim;
      s.q[d * Q + g] = g < n_queries() ? from[i] : 0.0f;
    }
  }

  // Weights, sums and outputs by page of one span.
  NIBBLE_DEVICE void compute_span(const Shared& s, std::uint32_t span) const {
    const std::uint32_t block = device::block_x(), sequence = shape.sequence[shape.token_of(block)];
    const std::uint32_t first = span * attend_span;
    const std::uint32_t begin = shape.begin(block) > first ? shape.begin(block) : first;
    const std::uint32_t end = shape.end(block) < first + attend_span ? shape.end(block) : first + attend_span;
    score(s, sequence, first, begin, end);
    device::sync_block();
    for (std::uint32_t g = device::thread() / device::warp_size; g < Q; g += threads / device::warp_size)
      weigh(s, g);
    device::sync_block();
    add_values(s, sequence, first, begin, end);
    device::sync_block();
  }

  // A thread is a position.
  NIBBLE_DEVICE void score(const Shared& s, std::uint32_t sequence, std::uint32_t first, std::uint32_t begin,
                           std::uint32_t end) const {
    const std::uint32_t p = first + device::thread();
    float sum[Q] = {};
    const bool seen = p >= begin && p < end;
    if (seen) {
      const std::byte* head = pages.part(sequence, p, shape.kv_head(device::block_x()));
      for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
        const float key = load_kv<type, KvPart::keys>(head, shape.head_dim, p % kv_page_size, d);
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
  NIBBLE_DEVICE void add_values(const Shared& s, std::uint32_t sequence, std::uint32_t first,
                                std::uint32_t begin, std::uint32_t end) const {
    const std::uint32_t head_dim = shape.head_dim;
    for (std::uint32_t i = device::thread(); i < span_pages * head_dim; i += threads) {
      const std::uint32_t page = i / head_dim, d = i % head_dim;
      const std::uint32_t page_first = first + page * kv_page_size;
      const std::uint32_t from = begin > page_first ? begin : page_first;
      const std::uint32_t to = end < page_first + kv_page_size ? end : page_first + kv_page_size;
      float sum[Q] = {};
      if (from < to) {
        const std::byte* head =
            pages.part(sequence, from, shape.n_kv_heads + shape.kv_head(device::block_x()));
        for (std::uint32_t p = from; p < to; ++p) {
          const float value = load_kv<type, KvPart::values>(head, head_dim, p % kv_page_size, d);
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
      const bool is_first = so_far.sum == 0.0f;
      const Weighing by = merge(so_far, s.span[g]);
      const float next = sum_of_pages(s, i);
      s.out[i] = is_first ? next : s.out[i] * by.keep + next * by.add;
    }
    device::sync_block();
    if (device::thread() < Q) merge(s.so_far[device::thread()], s.span[device::thread()]);
  }
};

// Merges spans that were done side by side into what is known so far, and writes `out` after the last. Blocks
// as Attend's; what is known so far lies behind the partial results of `together` spans.
struct MergeSpans {
  static constexpr std::uint32_t threads = 128;
  AttendShape shape;
  Output out;
  const float* sinks;
  Partials partials;
  std::uint32_t first_span, together;
  bool is_last;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t block = device::block_x(), head_dim = shape.head_dim, Q = partials.queries;
    const std::size_t known = std::size_t{together} * device::blocks_x() + block;
    const std::uint32_t n = shape.end_span(block) - shape.first_span(block);
    const std::uint32_t end = n < first_span + together ? n : first_span + together;
    const std::uint32_t first_query = block % shape.parts * Q;
    const std::uint32_t head = shape.kv_head(block) * shape.group + first_query;
    for (std::uint32_t i = device::thread(); i < Q * head_dim; i += threads) {
      const std::uint32_t g = i / head_dim;
      Softmax so_far{0.0f, 0.0f};
      float value = 0.0f;
      if (first_span != 0) {
        so_far = partials.softmax(known)[g];
        value = partials.out(known)[i];
      }
      for (std::uint32_t span = first_span; span < end; ++span) {
        const std::size_t at = std::size_t{span - first_span} * device::blocks_x() + block;
        const bool is_first = so_far.sum == 0.0f;
        const Weighing by = merge(so_far, partials.softmax(at)[g]);
        const float next = partials.out(at)[i];
        value = is_first ? next : value * by.keep + next * by.add;
      }
      if (is_last) {
        if (first_query + g < shape.group)
          out.row(shape.row(block))[std::size_t{head} * head_dim + i] =
              value * last_factor(so_far, sinks, head + g);
      } else {
        partials.out(known)[i] = value;
      }
    }
    if (is_last) return;
    device::sync_block();
    if (device::thread() >= Q) return;
    Softmax so_far{0.0f, 0.0f};
    if (first_span != 0) so_far = partials.softmax(known)[device::thread()];
    for (std::uint32_t span = first_span; span < end; ++span) {
      const std::size_t at = std::size_t{span - first_span} * device::blocks_x() + block;
      merge(so_far, partials.softmax(at)[device::thread()]);
    }
    partials.softmax(known)[device::thread()] = so_far;
  }
};

using AttendKernels =
    KernelList<Attend<KvType::F32, 1>, Attend<KvType::F32, 4>, Attend<KvType::F32, 8>, Attend<KvType::F16, 1>,
               Attend<KvType::F16, 4>, Attend<KvType::F16, 8>, Attend<KvType::BF16, 1>,
               Attend<KvType::BF16, 4>, Attend<KvType::BF16, 8>, Attend<KvType::Q8_0, 1>,
               Attend<KvType::Q8_0, 4>, Attend<KvType::Q8_0, 8>, MergeSpans>;

}  // namespace nibble::inline v0::cuda
