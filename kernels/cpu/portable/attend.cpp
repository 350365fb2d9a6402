// Attention over pages of any element type, in float.
// The reference it equals is kernels/reference.
//
// Tiling: a page's keys, then its values, are decoded once (64 x head_dim floats) for all queries of the job;
// scores stay in scratch between the two. Each page is merged into the running maximum, sum and output.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/portable/dots.hpp"
#include "kernels/cpu/portable/portable.hpp"

namespace nibble::inline v0::cpu::portable {

namespace {

constexpr std::size_t max_queries = 32;

std::size_t padded(std::size_t head_dim) { return (head_dim + n_lanes - 1) / n_lanes * n_lanes; }

// Floats: a page's rows, then each query, all padded with zeros; then each query's weights of the page.
std::size_t scratch_bytes(std::size_t queries, std::size_t head_dim) {
  return (kv_page_size * padded(head_dim) + queries * (padded(head_dim) + kv_page_size)) * sizeof(float);
}

struct Page {
  std::size_t begin, end;  // positions of it that the job's span covers
};

// The positions of a page that token i sees.
Page visible(const AttendJob& job, std::size_t i, Page page) {
  const std::size_t position = job.position + i;
  const std::size_t first = job.window == 0 || position < job.window ? 0 : position - job.window + 1;
  return {std::max(page.begin, first), std::min(page.end, position + 1)};
}

// Keys or values of a page as floats, at their slots.
void load(const AttendJob& job, KvPart part, Page page, float* rows) {
  const std::byte* head = job.pool + job.pages[page.begin / kv_page_size] * job.page_bytes +
                          (part == KvPart::keys ? job.keys : job.values);
  for (std::size_t p = page.begin; p < page.end; ++p) {
    const std::size_t slot = p % kv_page_size;
    read_slot(job.kv_type, part, job.head_dim, slot, head, rows + slot * padded(job.head_dim));
  }
}

// Scores of one query against slots [begin, end).
void score(const AttendJob& job, const float* query, const float* keys, std::size_t begin, std::size_t end,
           float* scores) {
  constexpr std::size_t together = 4;
  const std::size_t width = padded(job.head_dim);
  for (std::size_t slot = begin; slot < end;) {
    Sum sums[together] = {};
    const std::size_t n = end - slot >= together ? together : 1;
    if (n == together)
      accumulate<together, 1>(keys + slot * width, width, query, 0, width, sums, together);
    else
      accumulate<1, 1>(keys + slot * width, width, query, 0, width, sums, 1);
    for (std::size_t i = 0; i < n; ++i) {
      const float s = total(sums[i]) * job.scale;
      scores[slot + i] = job.softcap == 0 ? s : job.softcap * std::tanh(s / job.softcap);
    }
    slot += n;
  }
}

// Turns a query's scores into weights relative to the new maximum and rescales what it had so far.
void weigh(float* scores, std::size_t begin, std::size_t end, float& max, float& sum, float* out,
           std::size_t head_dim) {
  const float largest = std::max(max, *std::max_element(scores + begin, scores + end));
  const float rescale = std::exp(max - largest);
  float page_sum = 0;
  for (std::size_t slot = begin; slot < end; ++slot) {
    scores[slot] = std::exp(scores[slot] - largest);
    page_sum += scores[slot];
  }
  sum = sum * rescale + page_sum;
  max = largest;
  for (std::size_t d = 0; d < head_dim; ++d) out[d] *= rescale;
}

void run(const AttendJob& job) {
  const std::size_t width = padded(job.head_dim), n_queries = job.n_tokens * job.group;
  float* rows = reinterpret_cast<float*>(job.scratch);
  float* queries = rows + kv_page_size * width;
  float* weights = queries + n_queries * width;
  std::memset(job.scratch, 0, scratch_bytes(n_queries, job.head_dim));
  for (std::size_t i = 0; i < n_queries; ++i) {
    const float* q = job.q + i / job.group * job.q_stride + i % job.group * job.head_dim;
    std::copy(q, q + job.head_dim, queries + i * width);
  }
  std::fill(job.max, job.max + n_queries, -std::numeric_limits<float>::infinity());
  std::fill(job.sum, job.sum + n_queries, 0.0f);
  std::fill(job.out, job.out + n_queries * attend_width(job.head_dim), 0.0f);

  for (std::size_t begin = job.begin; begin < job.end;) {
    const Page page = {begin, std::min(job.end, begin / kv_page_size * kv_page_size + kv_page_size)};
    load(job, KvPart::keys, page, rows);
    for (std::size_t i = 0; i < n_queries; ++i) {
      const Page seen = visible(job, i / job.group, page);
      if (seen.begin >= seen.end) continue;
      const std::size_t first = seen.begin % kv_page_size, last = first + (seen.end - seen.begin);
      score(job, queries + i * width, rows, first, last, weights + i * kv_page_size);
      weigh(weights + i * kv_page_size, first, last, job.max[i], job.sum[i],
            job.out + i * attend_width(job.head_dim), job.head_dim);
    }
    load(job, KvPart::values, page, rows);
    for (std::size_t i = 0; i < n_queries; ++i) {
      const Page seen = visible(job, i / job.group, page);
      float* out = job.out + i * attend_width(job.head_dim);
      for (std::size_t p = seen.begin; p < seen.end; ++p) {
        const float weight = weights[i * kv_page_size + p % kv_page_size];
        const float* value = rows + p % kv_page_size * width;
        for (std::size_t d = 0; d < job.head_dim; ++d) out[d] += weight * value[d];
      }
    }
    begin = page.end;
  }
}

}  // namespace

const AttendKernel attend_kernel = {.max_queries = max_queries, .scratch_bytes = scratch_bytes, .run = run};

}  // namespace nibble::inline v0::cpu::portable
