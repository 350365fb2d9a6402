// Matmul of any coded format on AVX-512 VNNI: int8 dot products, exact within a group, added in float along
// K. Instantiated for each family by matmul_<family>.cpp; equals kernels/reference with activations rounded
// to int8.
//
// Tiling: a row tile of 32 rows meets five tokens: each broadcast of four activations serves two dot
// products, and ten integer and ten float sums stay in registers. Codes of 4 bits are decoded in
// registers each time. Of the others, from six tokens on, 512 columns of the row tile at a time are decoded
// to bytes (a panel, in the first-level cache) that all tokens of the job share. An output is the same chain
// either way:
//
//   over 128 columns: acc = fma(float(dot of a group), scale, acc), for mins acc = fma(min, float(-sum), acc)
//   total = fma(acc, d of the activations, total)
//
// Bound by the multipliers from about eight tokens on, by memory below.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/cpu/avx512/codes.hpp"
#include "kernels/cpu/int8_rows.hpp"
#include "kernels/cpu/table.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cpu::avx512 {
namespace {

inline constexpr std::size_t most_tokens = 5;    // that share registers
inline constexpr std::size_t token_tile = 105;   // that share a panel
inline constexpr std::size_t panel_planes = 16;  // of 32 columns: a byte a code, in the first-level cache
inline constexpr std::size_t prefetch_ahead = 7 << 10;  // bytes of the weight stream
inline constexpr std::size_t group_planes = activation_group / plane_size;

template <class F>
constexpr PackedLayout layout_of() {
  Format format{};
  format.block_size = F::block_size;
  format.block_bytes = sizeof(typename F::Block);
  format.codes = F::codes;
  return packed_layout(format, tile_rows);
}

// Groups of a plane, and their quads.
template <class F>
inline constexpr std::size_t plane_groups = plane_size / F::codes.group;
template <class F>
inline constexpr std::size_t group_quads = F::codes.group / 4;

// A plane (32 columns) of a row tile in the packed stream.
template <class F>
struct PackedPlane {
  const std::byte *codes, *scales, *mins, *d, *m;
  std::size_t group;  // in the block, of the plane's first

  __m512i quad(std::size_t j, std::size_t v) const { return load_quad<F>(codes, j, v); }
  __m512 scale(std::size_t g, std::size_t v) const {
    const __m512 scale = load_d<F>(d, v);
    if constexpr (F::codes.scale_bits == 0) return scale;
    return _mm512_mul_ps(scale, scale_factor<F>(scales, group + g, v));
  }
  // What the negative sum of the activations is multiplied by.
  __m512 min(std::size_t g, std::size_t v) const {
    const __m512 min = load_halves(m, v);
    if constexpr (F::codes.min_bits == 0) return _mm512_sub_ps(_mm512_setzero_ps(), min);
    return _mm512_mul_ps(min, min_factor<F>(scales, mins, group + g, v));
  }
};

// The packed stream of a row tile.
template <class F>
struct PackedTile {
  static constexpr std::size_t block_planes = F::block_size / plane_size;
  const std::byte* bytes;
  std::size_t n_blocks;

  PackedPlane<F> plane(std::size_t p) const {
    constexpr PackedLayout l = layout_of<F>();
    const std::size_t block = p / block_planes, in_block = p % block_planes;
    const std::size_t first = block / l.tile_blocks * l.tile_blocks, i = block - first;
    const std::size_t n = std::min<std::size_t>(l.tile_blocks, n_blocks - first);
    const std::byte* at = bytes + first * l.block_bytes();
    const std::byte* scales = at + n * l.codes;
    const std::byte* mins = scales + n * l.scales;
    const std::byte* d = mins + n * l.mins;
    const std::byte* m = d + n * l.d;
    return {.codes = at + i * l.codes + in_block * (l.codes / block_planes),
            .scales = scales + i * l.scales,
            .mins = mins + i * l.mins,
            .d = d + i * l.d,
            .m = m + i * l.m,
            .group = in_block * plane_groups<F>};
  }

  static constexpr std::size_t plane_bytes = layout_of<F>().block_bytes() / block_planes;
};

// What is asked for of the stream to come, inlined always: GCC drops calls of functions that only prefetch.
// While few tokens walk along it: all that lies prefetch_ahead.
template <class F>
struct NextOfFew {
  const std::byte* bytes;

  [[gnu::always_inline]] void ask(std::size_t p) const {
    constexpr std::size_t plane = PackedTile<F>::plane_bytes;
    for (std::size_t i = 0; i < plane; i += 64)
      _mm_prefetch(bytes + p * plane + prefetch_ahead + i, _MM_HINT_T0);
  }
  [[gnu::always_inline]] void ask_group(std::size_t) const {}
};

// While many tokens, run after run, are on a stretch of planes: lines [first, last) of each four planes of
// the stretch after it, another share in each run.
template <class F>
struct NextOfMany {
  const std::byte* bytes;
  std::size_t first, last;

  [[gnu::always_inline]] void ask(std::size_t) const {}
  [[gnu::always_inline]] void ask_group(std::size_t p) const {
    for (std::size_t line = first; line < last; ++line)
      _mm_prefetch(bytes + p * PackedTile<F>::plane_bytes + 64 * line, _MM_HINT_T1);
  }
};

// A plane decoded.
template <class F>
struct alignas(64) DecodedPlane {
  std::byte codes[plane_quads][vectors][64];
  float scales[plane_groups<F>][vectors][lanes];
  float mins[plane_groups<F>][vectors][lanes];

  __m512i quad(std::size_t j, std::size_t v) const { return _mm512_load_si512(codes[j][v]); }
  __m512 scale(std::size_t g, std::size_t v) const { return _mm512_load_ps(scales[g][v]); }
  __m512 min(std::size_t g, std::size_t v) const { return _mm512_load_ps(mins[g][v]); }

  void decode(const PackedPlane<F>& from) {
    for (std::size_t v = 0; v < vectors; ++v) {
      for (std::size_t j = 0; j < plane_quads; ++j) _mm512_store_si512(codes[j][v], from.quad(j, v));
      for (std::size_t g = 0; g < plane_groups<F>; ++g) {
        _mm512_store_ps(scales[g][v], from.scale(g, v));
        if constexpr (F::codes.has_m) _mm512_store_ps(mins[g][v], from.min(g, v));
      }
    }
  }
};

// Decoded planes in a row.
template <class F>
struct Panel {
  DecodedPlane<F> planes[panel_planes];
  const DecodedPlane<F>& plane(std::size_t p) const { return planes[p]; }
};

template <class F>
struct Scratch {
  Panel<F> panel;
  alignas(64) float totals[token_tile][tile_rows];
};

// The exact negative sum of a group's activations, in every lane; k is the group's first column in `a`.
template <class F>
inline __m512i minus_sum(const Int8Group& a, std::size_t k) {
  const __m512i minus32 = _mm512_set1_epi32(a.minus32[k / 32]);
  if constexpr (F::codes.group == 32) return minus32;
  const __m512i low = _mm512_set1_epi32(a.minus_low[k / 32]);
  return k % 32 == 0 ? low : _mm512_sub_epi32(minus32, low);
}

// Adds one group of a plane to each token's acc; k is its first column in `a`.
template <class F, std::size_t tokens, class Plane>
[[gnu::always_inline]] inline void add_group(const Plane& plane, std::size_t g,
                                             const Int8Group* const (&a)[tokens], std::size_t k,
                                             __m512 (&acc)[tokens][vectors]) {
  constexpr int bias = Unsigned<F>::bias;
  __m512i dot[tokens][vectors];
  for (std::size_t t = 0; t < tokens; ++t) {
    __m512i start = _mm512_setzero_si512();
    if constexpr (bias != 0) start = _mm512_slli_epi32(minus_sum<F>(*a[t], k), log2_of(bias));
    for (std::size_t v = 0; v < vectors; ++v) dot[t][v] = start;
  }
#pragma GCC unroll 8
  for (std::size_t q = 0; q < group_quads<F>; ++q) {
    __m512i w[vectors];
    for (std::size_t v = 0; v < vectors; ++v) w[v] = plane.quad(g * group_quads<F> + q, v);
    for (std::size_t t = 0; t < tokens; ++t) {
      std::int32_t four;
      std::memcpy(&four, a[t]->q + k + 4 * q, sizeof four);
      for (std::size_t v = 0; v < vectors; ++v)
        dot[t][v] = _mm512_dpbusd_epi32(dot[t][v], w[v], _mm512_set1_epi32(four));
    }
  }
  for (std::size_t v = 0; v < vectors; ++v) {
    const __m512 scale = plane.scale(g, v);
    for (std::size_t t = 0; t < tokens; ++t)
      acc[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t][v]), scale, acc[t][v]);
    if constexpr (F::codes.has_m) {
      const __m512 min = plane.min(g, v);
      for (std::size_t t = 0; t < tokens; ++t)
        acc[t][v] = _mm512_fmadd_ps(min, _mm512_cvtepi32_ps(minus_sum<F>(*a[t], k)), acc[t][v]);
    }
  }
}

// Adds n planes from plane p on, which are the columns of an activation group, to totals (tokens, tile_rows).
template <class F, std::size_t tokens, class Planes, class Next>
[[gnu::always_inline]] inline void add_planes(const Planes& planes, std::size_t p, std::size_t n,
                                              const Int8Group* const (&a)[tokens], const Next& next,
                                              float (*totals)[tile_rows]) {
  next.ask_group(p);
  __m512 acc[tokens][vectors];
  for (auto& of_token : acc)
    for (__m512& x : of_token) x = _mm512_setzero_ps();
#pragma GCC unroll 1
  for (std::size_t i = 0; i < n; ++i) {
    next.ask(p + i);
    const auto& plane = planes.plane(p + i);
#pragma GCC unroll 2
    for (std::size_t g = 0; g < plane_groups<F>; ++g)
      add_group<F>(plane, g, a, i * plane_size + g * F::codes.group, acc);
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t v = 0; v < vectors; ++v) {
      float* total = totals[t] + v * lanes;
      _mm512_store_ps(total, _mm512_fmadd_ps(acc[t][v], _mm512_set1_ps(a[t]->d), _mm512_load_ps(total)));
    }
  }
}

// Columns [32 begin, 32 end) of a row tile, and the tokens from `token` on that meet them.
struct Stretch {
  std::size_t begin, end;  // planes
  std::size_t token;
};

// Adds a stretch to totals; its planes are `planes` from `first` on.
template <class F, std::size_t tokens, class Planes, class Next>
[[gnu::noinline]] void add_stretch(const MatmulJob& job, const Planes& planes, std::size_t first,
                                   const Stretch& stretch, const Next& next, float (*totals)[tile_rows]) {
  const std::size_t row_bytes = int8_row_bytes(job.matrix.cols);
  const std::byte* row = job.activations + stretch.token * row_bytes;
  const Int8Group* a[tokens];
  for (std::size_t t = 0; t < tokens; ++t, row += row_bytes)
    a[t] = reinterpret_cast<const Int8Group*>(row) + stretch.begin / group_planes;
  const std::size_t last = first + (stretch.end - stretch.begin);
  std::size_t p = first;
  for (; p + group_planes <= last; p += group_planes) {
    add_planes<F>(planes, p, group_planes, a, next, totals);
    for (const Int8Group*& group : a) ++group;
  }
  if (p < last) add_planes<F>(planes, p, last - p, a, next, totals);
}

// Calls work(token, std::integral_constant<n>) for runs of n tokens, most_tokens at a time.
template <std::size_t n = most_tokens, class Work>
[[gnu::always_inline]] inline void for_tokens(std::size_t token, std::size_t end, const Work& work) {
  for (; token + n <= end; token += n) work(token, std::integral_constant<std::size_t, n>());
  if constexpr (n > 1) {
    if (token < end) for_tokens<n - 1>(token, end, work);
  }
}

inline void write_out(const MatmulJob& job, std::size_t row, std::size_t token, std::size_t tokens,
                      const float (*totals)[tile_rows]) {
  for (std::size_t v = 0; v < vectors; ++v) {
    const std::size_t first = row + v * lanes;
    if (first >= job.row_end) return;
    const auto mask = static_cast<__mmask16>((1u << std::min(lanes, job.row_end - first)) - 1);
    for (std::size_t t = 0; t < tokens; ++t) {
      _mm512_mask_storeu_ps(job.out + (token + t) * job.out_stride + first, mask,
                            _mm512_load_ps(totals[t] + v * lanes));
    }
  }
}

// Lines that write_out is going to write: they come from memory while the last stretch is on.
[[gnu::always_inline]] inline void ask_for_outputs(const MatmulJob& job, std::size_t row, std::size_t token,
                                                   std::size_t tokens) {
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t v = 0; v < vectors; ++v)
      __builtin_prefetch(job.out + (token + t) * job.out_stride + row + v * lanes, 1);
}

// A row tile for at most most_tokens tokens: one walk along the stream.
template <class F, std::size_t tokens>
void run_few(const MatmulJob& job, const PackedTile<F>& tile, std::size_t row) {
  alignas(64) float totals[tokens][tile_rows] = {};
  const Stretch stretch = {0, job.matrix.cols / plane_size, 0};
  add_stretch<F, tokens>(job, tile, 0, stretch, NextOfFew<F>{tile.bytes}, totals);
  write_out(job, row, 0, tokens, totals);
}

// A row tile for at most token_tile tokens from `token` on: stretch by stretch, all tokens on each, while the
// next one comes from memory.
template <class F>
void run_many(const MatmulJob& job, const PackedTile<F>& tile, std::size_t row, std::size_t token,
              std::size_t tokens) {
  constexpr bool decoded = F::family != Family::codes4;
  constexpr std::size_t group_lines = (group_planes * PackedTile<F>::plane_bytes + 63) / 64;
  auto& scratch = *reinterpret_cast<Scratch<F>*>(job.scratch);
  const std::size_t n_planes = job.matrix.cols / plane_size;
  const std::size_t most_planes = decoded ? panel_planes : n_planes;
  const std::size_t lines = (group_lines * most_tokens + tokens - 1) / tokens;  // for each run
  std::memset(scratch.totals, 0, tokens * sizeof scratch.totals[0]);
  for (std::size_t begin = 0; begin < n_planes; begin += most_planes) {
    const Stretch stretch = {begin, std::min(begin + most_planes, n_planes), token};
    if constexpr (decoded) {
      for (std::size_t p = begin; p < stretch.end; ++p) scratch.panel.planes[p - begin].decode(tile.plane(p));
    }
    for_tokens(0, tokens, [&](std::size_t t, auto run) {
      const std::size_t first = t / most_tokens * lines, last = std::min(group_lines, first + lines);
      const NextOfMany<F> next = {tile.bytes + stretch.end * PackedTile<F>::plane_bytes, first, last};
      const Stretch of_run = {stretch.begin, stretch.end, token + t};
      if (stretch.end == n_planes) ask_for_outputs(job, row, token + t, run());
      if constexpr (decoded)
        add_stretch<F, run()>(job, scratch.panel, 0, of_run, next, scratch.totals + t);
      else
        add_stretch<F, run()>(job, tile, begin, of_run, next, scratch.totals + t);
    });
  }
  write_out(job, row, token, tokens, scratch.totals);
}

template <class F>
void run(const MatmulJob& job) {
  const std::size_t tile_bytes = packed_row_tile_bytes(layout_of<F>(), job.matrix.cols);
  for (std::size_t row = job.row_begin; row < job.row_end; row += tile_rows) {
    const PackedTile<F> tile = {job.matrix.bytes + row / tile_rows * tile_bytes,
                                job.matrix.cols / F::block_size};
    if (job.n_tokens <= most_tokens) {
      for_tokens(0, job.n_tokens, [&](std::size_t, auto run) { run_few<F, run()>(job, tile, row); });
    } else {
      for (std::size_t token = 0; token < job.n_tokens; token += token_tile)
        run_many(job, tile, row, token, std::min(token_tile, job.n_tokens - token));
    }
  }
}

template <class F>
std::size_t scratch_bytes(std::size_t) {
  return sizeof(Scratch<F>);
}

}  // namespace
}  // namespace nibble::inline v0::cpu::avx512
