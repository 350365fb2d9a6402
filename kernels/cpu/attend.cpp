// Tiles of queries, spans of their past, and merging of spans.
// The part of attention that every tier shares.
#include "kernels/cpu/attend.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/memory.hpp"
#include "nibble/backend/check.hpp"

namespace nibble::inline v0::cpu {

namespace {

std::size_t group_of(const Args& args) { return args.n_heads / args.n_kv_heads; }

std::uint32_t tile_rows(const AttendKernel& kernel, const Args& args) {
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, kernel.max_queries / group_of(args)));
}

std::size_t tile_queries(const AttendKernel& kernel, const Args& args) {
  return tile_rows(kernel, args) * group_of(args);
}

// What attention knows after some spans: (queries, width) and two numbers a query.
struct Partial {
  float *out, *max, *sum;
};

std::uint64_t partial_bytes(std::size_t queries, std::size_t head_dim) {
  return align_bytes(multiply_bytes(queries, (attend_width(head_dim) + 2) * sizeof(float)));
}

Partial partial_at(std::byte* bytes, std::size_t queries, std::size_t head_dim) {
  float* out = reinterpret_cast<float*>(bytes);
  float* max = out + queries * attend_width(head_dim);
  return {out, max, max + queries};
}

// Adds one query's next span. Where it sees nothing of it, its sum is 0.
void merge(const Partial& so_far, const Partial& next, std::size_t query, std::size_t width) {
  float &sum = so_far.sum[query], &max = so_far.max[query];
  const float next_sum = next.sum[query], next_max = next.max[query];
  float* out = so_far.out + query * width;
  const float* next_out = next.out + query * width;
  if (next_sum == 0) return;
  const bool first = sum == 0;
  const float largest = first ? next_max : std::max(max, next_max);
  const float keep = first ? 0.0f : std::exp(max - largest), add = std::exp(next_max - largest);
  for (std::size_t d = 0; d < width; ++d) out[d] = first ? next_out[d] : out[d] * keep + next_out[d] * add;
  sum = first ? next_sum : sum * keep + next_sum * add;
  max = largest;
}

// One tile and one KV head.
class Part {
 public:
  Part(const AttendStep& step, std::size_t i)
      : step_(step),
        tile_(step.tiles[i / step.args->n_kv_heads]),
        kv_head_(i % step.args->n_kv_heads),
        queries_(tile_.n_rows * group_of(*step.args)),
        position_(step.batch->positions[tile_.token]) {}

  std::size_t first_span() const { return begin() / attend_span; }
  std::size_t end_span() const { return (end() - 1) / attend_span + 1; }

  Partial partial(std::byte* bytes) const { return partial_at(bytes, queries_, step_.args->head_dim); }

  void run(std::size_t span, const Partial& out, std::byte* scratch) const {
    const Args& args = *step_.args;
    const KvSequence& kv = *step_.batch->sequences[step_.batch->sequence[tile_.token]].kv;
    const std::size_t head_bytes = kv_head_bytes(step_.kv_type, args.head_dim);
    const std::size_t q_row = step_.q_rows == Rows::tokens ? tile_.token : tile_.row;
    step_.kernel->run({.kv_type = step_.kv_type,
                       .n_tokens = tile_.n_rows,
                       .group = group_of(args),
                       .head_dim = args.head_dim,
                       .q = step_.q + q_row * step_.q_stride + kv_head_ * group_of(args) * args.head_dim,
                       .q_stride = step_.q_stride,
                       .out = out.out,
                       .max = out.max,
                       .sum = out.sum,
                       .pool = step_.pool,
                       .page_bytes = step_.page_bytes,
                       .pages = kv.pages[args.layer].data(),
                       .keys = kv_head_ * head_bytes,
                       .values = (args.n_kv_heads + kv_head_) * head_bytes,
                       .begin = std::max(begin(), span * attend_span),
                       .end = std::min(end(), (span + 1) * attend_span),
                       .position = position_,
                       .window = args.window,
                       .scale = args.scale,
                       .softcap = args.softcap,
                       .scratch = scratch});
  }

  void clear(const Partial& so_far) const { std::fill(so_far.sum, so_far.sum + queries_, 0.0f); }
  void add(const Partial& so_far, const Partial& next) const {
    for (std::size_t query = 0; query < queries_; ++query)
      merge(so_far, next, query, attend_width(step_.args->head_dim));
  }
  void finish(const Partial& so_far) const {
    const std::size_t head_dim = step_.args->head_dim, group = group_of(*step_.args);
    for (std::size_t query = 0; query < queries_; ++query) {
      const std::size_t head = kv_head_ * group + query % group;
      float* out = step_.out + (tile_.row + query / group) * step_.out_stride + head * head_dim;
      const float* in = so_far.out + query * attend_width(head_dim);
      float keep = 1.0f, sum = so_far.sum[query];
      if (step_.sinks != nullptr) {
        const float max = so_far.max[query], sink = step_.sinks[head], largest = std::max(max, sink);
        keep = std::exp(max - largest);
        sum = sum * keep + std::exp(sink - largest);
      }
      for (std::size_t d = 0; d < head_dim; ++d) out[d] = in[d] * keep / sum;
    }
  }

 private:
  std::size_t begin() const {
    const std::size_t window = step_.args->window;
    return window == 0 || position_ < window ? 0 : position_ - window + 1;
  }
  std::size_t end() const { return position_ + tile_.n_rows; }

  const AttendStep& step_;
  const AttendTile& tile_;
  std::size_t kv_head_, queries_;
  std::size_t position_;  // of the first row
};

// As many parts keep the threads busy; of fewer, the spans are done side by side.
std::size_t enough_parts(std::uint32_t threads) { return std::size_t{4} * threads; }

void attend_parts(const AttendStep& step, std::size_t n_parts, std::uint64_t bytes, ThreadPool& pool,
                  const std::stop_token& stop) {
  pool.for_each(n_parts, stop, [&](std::size_t i, std::uint32_t thread) {
    const Part part(step, i);
    std::byte* scratch = step.scratch + thread * step.scratch_stride;
    const Partial so_far = part.partial(scratch), next = part.partial(scratch + bytes);
    part.clear(so_far);
    for (std::size_t span = part.first_span(); span < part.end_span() && !stop.stop_requested(); ++span) {
      part.run(span, next, scratch + 2 * bytes);
      part.add(so_far, next);
    }
    part.finish(so_far);
  });
}

// Of each part some spans at a time: computed by all threads, then merged in order.
void attend_spans(const AttendStep& step, std::size_t n_parts, std::size_t n_spans, std::uint64_t bytes,
                  ThreadPool& pool, const std::stop_token& stop) {
  const std::size_t together = (enough_parts(pool.size()) + n_parts - 1) / n_parts;
  const auto so_far = [&](std::size_t i) { return step.shared + i * bytes; };
  const auto next = [&](std::size_t i, std::size_t span) {
    return step.shared + (n_parts + i * together + span % together) * bytes;
  };
  for (std::size_t first = 0; first < n_spans && !stop.stop_requested(); first += together) {
    pool.for_each(n_parts * together, stop, [&](std::size_t unit, std::uint32_t thread) {
      const std::size_t i = unit % n_parts, span = first + unit / n_parts;
      const Part part(step, i);
      if (span < part.first_span() || span >= part.end_span()) return;
      part.run(span, part.partial(next(i, span)), step.scratch + thread * step.scratch_stride + 2 * bytes);
    });
    pool.for_each(n_parts, stop, [&](std::size_t i, std::uint32_t) {
      const Part part(step, i);
      const Partial sum = part.partial(so_far(i));
      if (first == 0) part.clear(sum);
      for (std::size_t span = std::max(first, part.first_span());
           span < std::min(first + together, part.end_span()); ++span)
        part.add(sum, part.partial(next(i, span)));
      if (first + together >= n_spans) part.finish(sum);
    });
  }
}

}  // namespace

void cut_tiles(const Batch& batch, Rows rows, const AttendKernel& kernel, const Args& args,
               std::vector<AttendTile>& tiles) {
  tiles.clear();
  const std::uint32_t most = tile_rows(kernel, args);
  const auto n_rows =
      static_cast<std::uint32_t>(rows == Rows::tokens ? batch.tokens.size() : batch.outputs.size());
  for (std::uint32_t row = 0; row < n_rows; ++row) {
    const std::uint32_t token = token_of(batch, rows, row);
    if (!tiles.empty()) {
      AttendTile& tile = tiles.back();
      const std::uint32_t previous = tile.token + tile.n_rows - 1;
      if (tile.n_rows < most && token == previous + 1 && batch.sequence[token] == batch.sequence[previous]) {
        ++tile.n_rows;
        continue;
      }
    }
    tiles.push_back({.row = row, .n_rows = 1, .token = token});
  }
}

std::uint64_t attend_scratch_bytes(const AttendKernel& kernel, const Args& args) {
  const std::size_t queries = tile_queries(kernel, args);
  return add_bytes(2 * partial_bytes(queries, args.head_dim), kernel.scratch_bytes(queries, args.head_dim));
}

// For n parts, fewer than enough: n of all spans so far, and less than enough + n of spans side by side.
std::uint64_t attend_shared_bytes(const AttendKernel& kernel, const Args& args, std::uint32_t threads) {
  return multiply_bytes(3 * enough_parts(threads), partial_bytes(tile_queries(kernel, args), args.head_dim));
}

void attend(const AttendStep& step, ThreadPool& pool, const std::stop_token& stop) {
  const std::size_t n_parts = step.tiles.size() * step.args->n_kv_heads;
  const std::uint64_t bytes = partial_bytes(tile_queries(*step.kernel, *step.args), step.args->head_dim);
  std::size_t n_spans = 0;
  for (std::size_t i = 0; i < n_parts; i += step.args->n_kv_heads)
    n_spans = std::max(n_spans, Part(step, i).end_span());
  if (n_spans > 1 && n_parts < enough_parts(pool.size()))
    attend_spans(step, n_parts, n_spans, bytes, pool, stop);
  else
    attend_parts(step, n_parts, bytes, pool, stop);
}

}  // namespace nibble::inline v0::cpu
