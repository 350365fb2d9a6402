// Attention over pages of any element type on AVX-512, in float.
// The reference it equals is kernels/reference.
//
// Tiling: a page's keys are turned round once, (head_dim, 64 slots), so that a vector lane is a slot and a
// score needs no sum across lanes; its values stay (64 slots, head_dim), a lane being a column of the output.
// Up to four queries share each load. Every sum is one chain, along head_dim for a score and along the
// positions for an output, so its bits do not depend on what else the job holds. Bound by multipliers at 16
// queries and more, by the cache's memory at few.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/avx512/avx512.hpp"
#include "kernels/cpu/avx512/exponential.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::cpu::avx512 {

namespace {

constexpr std::size_t lanes = 16;
constexpr std::size_t slot_vectors = kv_page_size / lanes;
constexpr std::size_t max_queries = 32;
constexpr std::size_t together = 4;  // queries, and vectors of an output's columns

std::size_t padded(std::size_t head_dim) { return (head_dim + lanes - 1) / lanes * lanes; }

// Floats: rows of a page, its keys turned round, queries, each query's weights of the page, and what it
// multiplies its output so far by.
struct Scratch {
  float *rows, *turned, *queries, *weights, *rescale;
};

std::size_t scratch_bytes(std::size_t queries, std::size_t head_dim) {
  return (2 * kv_page_size * padded(head_dim) + queries * (padded(head_dim) + kv_page_size + 1)) *
         sizeof(float);
}

Scratch scratch_of(const AttendJob& job) {
  const std::size_t page = kv_page_size * padded(job.head_dim), n_queries = job.n_tokens * job.group;
  float* rows = reinterpret_cast<float*>(job.scratch);
  float* queries = rows + 2 * page;
  float* weights = queries + n_queries * padded(job.head_dim);
  return {rows, rows + page, queries, weights, weights + n_queries * kv_page_size};
}

// Positions [begin, end) of one page.
struct Span {
  std::size_t begin, end;
};

// The positions of a page that token i sees; none where begin >= end.
Span visible(const AttendJob& job, std::size_t i, Span page) {
  const std::size_t position = job.position + i;
  const std::size_t first = job.window == 0 || position < job.window ? 0 : position - job.window + 1;
  return {std::max(page.begin, first), std::min(page.end, position + 1)};
}

void load_row(KvType type, const std::byte* from, std::size_t n, float* to) {
  if (type != KvType::F16 || n % lanes != 0) return kv_format(type).decode(from, to, n);
  for (std::size_t d = 0; d < n; d += lanes) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 2 * d));
    _mm512_store_ps(to + d, _mm512_cvtph_ps(halves));
  }
}

// Rows of the page at `offset` (keys or values) as floats; slots outside the span and padding columns become
// zero.
void load(const AttendJob& job, std::size_t offset, Span page, float* rows) {
  const Format& format = kv_format(job.kv_type);
  const std::size_t width = padded(job.head_dim),
                    bytes = job.head_dim / format.block_size * format.block_bytes;
  const std::byte* from = job.pool + job.pages[page.begin / kv_page_size] * job.page_bytes + offset;
  const std::size_t first = page.begin % kv_page_size, last = first + (page.end - page.begin);
  std::memset(rows, 0, first * width * sizeof(float));
  for (std::size_t slot = first; slot < last; ++slot) {
    load_row(job.kv_type, from + slot * bytes, job.head_dim, rows + slot * width);
    std::fill(rows + slot * width + job.head_dim, rows + (slot + 1) * width, 0.0f);
  }
  std::memset(rows + last * width, 0, (kv_page_size - last) * width * sizeof(float));
}

// 16 x 16 floats, columns to rows.
void turn_square(const float* from, std::size_t from_stride, float* to, std::size_t to_stride) {
  __m512 r[lanes], t[lanes];
  for (std::size_t i = 0; i < lanes; ++i) r[i] = _mm512_load_ps(from + i * from_stride);
  for (std::size_t i = 0; i < lanes; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (std::size_t i = 0; i < lanes; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  // r[4 b + c], 128-bit part p: column 4 p + c of rows 4 b to 4 b + 3.
  for (std::size_t c = 0; c < 4; ++c) {
    const __m512 a = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88),
                 b = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
    const __m512 d = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88),
                 e = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    _mm512_store_ps(to + c * to_stride, _mm512_shuffle_f32x4(a, d, 0x88));
    _mm512_store_ps(to + (c + 4) * to_stride, _mm512_shuffle_f32x4(b, e, 0x88));
    _mm512_store_ps(to + (c + 8) * to_stride, _mm512_shuffle_f32x4(a, d, 0xdd));
    _mm512_store_ps(to + (c + 12) * to_stride, _mm512_shuffle_f32x4(b, e, 0xdd));
  }
}

void turn(const float* rows, std::size_t width, float* turned) {
  for (std::size_t slot = 0; slot < kv_page_size; slot += lanes)
    for (std::size_t d = 0; d < width; d += lanes)
      turn_square(rows + slot * width + d, width, turned + d * kv_page_size + slot, kv_page_size);
}

// scores[q][slot] = queries[q] . keys[slot] for n queries and every slot.
template <std::size_t n>
void score(const float* queries, std::size_t width, std::size_t head_dim, const float* turned,
           float* scores) {
  __m512 sum[n][slot_vectors];
  for (auto& of_query : sum)
    for (__m512& s : of_query) s = _mm512_setzero_ps();
  for (std::size_t d = 0; d < head_dim; ++d) {
    for (std::size_t q = 0; q < n; ++q) {
      const __m512 x = _mm512_set1_ps(queries[q * width + d]);
      for (std::size_t v = 0; v < slot_vectors; ++v)
        sum[q][v] = _mm512_fmadd_ps(x, _mm512_load_ps(turned + d * kv_page_size + v * lanes), sum[q][v]);
    }
  }
  for (std::size_t q = 0; q < n; ++q)
    for (std::size_t v = 0; v < slot_vectors; ++v)
      _mm512_store_ps(scores + q * kv_page_size + v * lanes, sum[q][v]);
}

// Turns a query's scores of slots [begin, end) into weights relative to its new maximum, all others into 0;
// returns what its output so far is to be multiplied by.
float weigh(const AttendJob& job, std::size_t begin, std::size_t end, float* scores, float& max, float& sum) {
  __m512 s[slot_vectors];
  __mmask16 seen[slot_vectors];
  __m512 largest = _mm512_set1_ps(max);
  for (std::size_t v = 0; v < slot_vectors; ++v) {
    const std::size_t from = std::clamp(begin, v * lanes, (v + 1) * lanes) - v * lanes;
    const std::size_t to = std::clamp(end, v * lanes, (v + 1) * lanes) - v * lanes;
    seen[v] = static_cast<__mmask16>((1u << to) - (1u << from));
    s[v] = _mm512_mul_ps(_mm512_load_ps(scores + v * lanes), _mm512_set1_ps(job.scale));
    if (job.softcap != 0) {
      alignas(64) float capped[lanes];
      _mm512_store_ps(capped, s[v]);
      for (float& c : capped) c = job.softcap * std::tanh(c / job.softcap);
      s[v] = _mm512_load_ps(capped);
    }
    largest = _mm512_mask_max_ps(largest, seen[v], largest, s[v]);
  }
  const float new_max = _mm512_reduce_max_ps(largest);
  __m512 total = _mm512_setzero_ps();
  for (std::size_t v = 0; v < slot_vectors; ++v) {
    const __m512 difference = _mm512_sub_ps(s[v], _mm512_set1_ps(new_max));
    const __m512 weight = _mm512_maskz_mov_ps(seen[v], exponential(difference));
    _mm512_store_ps(scores + v * lanes, weight);
    total = _mm512_add_ps(total, weight);
  }
  const float rescale = std::exp(max - new_max);
  sum = sum * rescale + _mm512_reduce_add_ps(total);
  max = new_max;
  return rescale;
}

// out[q] = out[q] * rescale[q] + sum over slots [first, last) of weights[q][slot] * values[slot], columns [d,
// d + 16 n_v).
template <std::size_t n, std::size_t n_v>
void gather(const float* weights, const float* values, std::size_t width, std::size_t head_dim,
            std::size_t first, std::size_t last, std::size_t d, const float* rescale, float* out) {
  __m512 sum[n][n_v];
  __mmask16 mask[n_v];
  for (std::size_t v = 0; v < n_v; ++v) {
    const std::size_t left = std::min(lanes, head_dim - d - v * lanes);
    mask[v] = static_cast<__mmask16>((1u << left) - 1);
    for (std::size_t q = 0; q < n; ++q) {
      const __m512 before = _mm512_maskz_loadu_ps(mask[v], out + q * head_dim + d + v * lanes);
      sum[q][v] = _mm512_mul_ps(before, _mm512_set1_ps(rescale[q]));
    }
  }
  for (std::size_t slot = first; slot < last; ++slot) {
    for (std::size_t q = 0; q < n; ++q) {
      const __m512 w = _mm512_set1_ps(weights[q * kv_page_size + slot]);
      for (std::size_t v = 0; v < n_v; ++v)
        sum[q][v] = _mm512_fmadd_ps(w, _mm512_load_ps(values + slot * width + d + v * lanes), sum[q][v]);
    }
  }
  for (std::size_t q = 0; q < n; ++q)
    for (std::size_t v = 0; v < n_v; ++v)
      _mm512_mask_storeu_ps(out + q * head_dim + d + v * lanes, mask[v], sum[q][v]);
}

template <std::size_t n>
void gather_columns(const float* weights, const float* values, std::size_t width, std::size_t head_dim,
                    std::size_t first, std::size_t last, const float* rescale, float* out) {
  std::size_t d = 0;
  for (; d + together * lanes <= width; d += together * lanes)
    gather<n, together>(weights, values, width, head_dim, first, last, d, rescale, out);
  for (; d < width; d += lanes) gather<n, 1>(weights, values, width, head_dim, first, last, d, rescale, out);
}

void run(const AttendJob& job) {
  const std::size_t width = padded(job.head_dim), n_queries = job.n_tokens * job.group;
  const Scratch s = scratch_of(job);
  for (std::size_t i = 0; i < n_queries; ++i) {
    const float* q = job.q + i / job.group * job.q_stride + i % job.group * job.head_dim;
    std::copy(q, q + job.head_dim, s.queries + i * width);
  }
  std::fill(job.max, job.max + n_queries, -std::numeric_limits<float>::infinity());
  std::fill(job.sum, job.sum + n_queries, 0.0f);
  std::fill(job.out, job.out + n_queries * job.head_dim, 0.0f);

  for (std::size_t begin = job.begin; begin < job.end;) {
    const Span page = {begin, std::min(job.end, begin / kv_page_size * kv_page_size + kv_page_size)};
    const std::size_t first = begin % kv_page_size, last = first + (page.end - page.begin);
    load(job, job.keys, page, s.rows);
    turn(s.rows, width, s.turned);
    std::size_t i = 0;
    for (; i + together <= n_queries; i += together)
      score<together>(s.queries + i * width, width, job.head_dim, s.turned, s.weights + i * kv_page_size);
    for (; i < n_queries; ++i)
      score<1>(s.queries + i * width, width, job.head_dim, s.turned, s.weights + i * kv_page_size);
    for (i = 0; i < n_queries; ++i) {
      const Span seen = visible(job, i / job.group, page);
      float* weights = s.weights + i * kv_page_size;
      s.rescale[i] = 1.0f;
      if (seen.begin >= seen.end) {
        std::fill(weights, weights + kv_page_size, 0.0f);
        continue;
      }
      s.rescale[i] = weigh(job, first + (seen.begin - begin), first + (seen.end - begin), weights, job.max[i],
                           job.sum[i]);
    }
    load(job, job.values, page, s.rows);
    for (i = 0; i + together <= n_queries; i += together) {
      gather_columns<together>(s.weights + i * kv_page_size, s.rows, width, job.head_dim, first, last,
                               s.rescale + i, job.out + i * job.head_dim);
    }
    for (; i < n_queries; ++i) {
      gather_columns<1>(s.weights + i * kv_page_size, s.rows, width, job.head_dim, first, last, s.rescale + i,
                        job.out + i * job.head_dim);
    }
    begin = page.end;
  }
}

void store(KvType type, const float* in, std::size_t head_dim, std::byte* out) {
  kv_format(type).encode(in, out, head_dim, nullptr);
}

}  // namespace

const AttendKernel attend_kernel = {
    .max_queries = max_queries, .scratch_bytes = scratch_bytes, .run = run, .store = store};

}  // namespace nibble::inline v0::cpu::avx512
