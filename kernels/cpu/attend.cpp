// Tiles of queries and merging of spans.
// The part of attention that every tier shares.
#include "kernels/cpu/attend.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/memory.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu {

namespace {

std::uint32_t tile_rows(const AttendKernel& kernel, const Args& args) {
  const auto rows = static_cast<std::uint32_t>(kernel.max_queries) / (args.n_heads / args.n_kv_heads);
  return std::max(1u, rows);
}

// What attention knows after some spans: (queries, head_dim) and two numbers a query.
struct Partial {
  float *out, *max, *sum;
};

std::uint64_t partial_bytes(std::size_t queries, std::size_t head_dim) {
  return align_bytes(multiply_bytes(queries, (head_dim + 2) * sizeof(float)));
}

Partial partial_at(std::byte* bytes, std::size_t queries, std::size_t head_dim) {
  float* out = reinterpret_cast<float*>(bytes);
  return {out, out + queries * head_dim, out + queries * (head_dim + 1)};
}

// Adds one query's next span. Where it sees nothing of it, its sum is 0.
void merge(const Partial& so_far, const Partial& next, std::size_t query, std::size_t head_dim) {
  float &sum = so_far.sum[query], &max = so_far.max[query];
  const float next_sum = next.sum[query], next_max = next.max[query];
  float* out = so_far.out + query * head_dim;
  const float* next_out = next.out + query * head_dim;
  if (next_sum == 0) return;
  const bool first = sum == 0;
  const float largest = first ? next_max : std::max(max, next_max);
  const float keep = first ? 0.0f : std::exp(max - largest), add = std::exp(next_max - largest);
  for (std::size_t d = 0; d < head_dim; ++d) out[d] = first ? next_out[d] : out[d] * keep + next_out[d] * add;
  sum = first ? next_sum : sum * keep + next_sum * add;
  max = largest;
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
  const std::size_t queries = std::size_t{tile_rows(kernel, args)} * (args.n_heads / args.n_kv_heads);
  return add_bytes(2 * partial_bytes(queries, args.head_dim), kernel.scratch_bytes(queries, args.head_dim));
}

void attend(const AttendPart& part, const std::stop_token& stop) {
  const Args& args = *part.args;
  const std::size_t group = args.n_heads / args.n_kv_heads, queries = part.n_rows * group;
  const std::size_t head_dim = args.head_dim;
  const std::size_t head_bytes = kv_page_size * row_bytes(kv_format(part.kv_type), head_dim);
  const Partial so_far = partial_at(part.scratch, queries, head_dim);
  const Partial next = partial_at(part.scratch + partial_bytes(queries, head_dim), queries, head_dim);
  std::fill(so_far.sum, so_far.sum + queries, 0.0f);

  const std::size_t end = part.position + part.n_rows;
  std::size_t begin = args.window == 0 || part.position < args.window ? 0 : part.position - args.window + 1;
  for (; begin < end && !stop.stop_requested(); begin = (begin / attend_span + 1) * attend_span) {
    part.kernel->run({.kv_type = part.kv_type,
                      .n_tokens = part.n_rows,
                      .group = group,
                      .head_dim = head_dim,
                      .q = part.q + part.kv_head * group * head_dim,
                      .q_stride = part.q_stride,
                      .out = next.out,
                      .max = next.max,
                      .sum = next.sum,
                      .pool = part.pool,
                      .page_bytes = part.page_bytes,
                      .pages = part.pages,
                      .keys = part.kv_head * head_bytes,
                      .values = (args.n_kv_heads + part.kv_head) * head_bytes,
                      .begin = begin,
                      .end = std::min(end, (begin / attend_span + 1) * attend_span),
                      .position = part.position,
                      .window = args.window,
                      .scale = args.scale,
                      .softcap = args.softcap,
                      .scratch = part.scratch + 2 * partial_bytes(queries, head_dim)});
    for (std::size_t query = 0; query < queries; ++query) merge(so_far, next, query, head_dim);
  }
  for (std::size_t query = 0; query < queries; ++query) {
    float* out =
        part.out + query / group * part.out_stride + (part.kv_head * group + query % group) * head_dim;
    for (std::size_t d = 0; d < head_dim; ++d) out[d] = so_far.out[query * head_dim + d] / so_far.sum[query];
  }
}

}  // namespace nibble::inline v0::cpu
