// Attention over pages on the tensor cores: 16 or 32 queries of one KV head against a span of 256 positions.
// One of the kernels of attend_kernels.hpp. Equals Op::attend of the reference;
// docs/kernels/cuda-attention.md tells why it is so.
//
// Scores: warp w of four takes positions [64 w, + 64) of the span; one chain of products along head_dim each,
// in steps of 16, the smaller terms of a step first. Weights, relative to the largest score of the span, go
// through shared memory; their sum is 16 of a lane in order, four lanes pair by pair, the warps in order.
// Outputs: a warp takes 64 columns and a stretch of the span, a quarter, half or all of it (as head_dim says:
// 64, 128, more), one chain along its positions; the stretches are added in order.
#pragma once

#include "kernels/cuda/attend_copies.hpp"

namespace nibble::inline v0::cuda {

// Blocks (those of the shape times ceil(head_dim / attend_columns), runs times the spans done side by side).
template <KvType type, std::uint32_t M>
struct AttendTiles {
  static constexpr std::uint32_t threads = attend_warps * device::warp_size;
  static constexpr std::uint32_t resident_blocks = M == 1 && type != KvType::Q8_0 ? 3 : 2;
  AttendShape shape;
  PagesOfLayer pages;
  Input q;             // (rows, n_kv_heads, group, head_dim)
  Output out;          // likewise
  const float* sinks;  // (n_kv_heads, group), or null
  float scale, softcap;
  Partials partials;         // data null: the block does all its spans and writes `out`
  std::uint32_t first_span;  // of the launch's spans, counted from the first that a tile sees

  using Keys = typename KvOperands<type>::Keys;
  using Values = typename KvOperands<type>::Values;
  using Tiles = float[M][8][4];
  static constexpr std::uint32_t n_queries = 16 * M, depth = attend_depth<type, M>;
  static constexpr std::uint32_t steps = stage_steps<type>, page_stages = 4 / steps;

  using Work = AttendWork;

  NIBBLE_DEVICE static std::byte* shared(std::uint32_t offset) { return device::shared() + offset; }
  NIBBLE_DEVICE static std::uint32_t warp() { return device::thread() / device::warp_size; }
  NIBBLE_DEVICE static std::uint32_t lane() { return device::thread() % device::warp_size; }
  // The row of a tile of 16 that c[2 j] and c[2 j + 1] are of.
  NIBBLE_DEVICE static std::uint32_t row(std::uint32_t m, std::uint32_t j) {
    return 16 * m + 8 * j + lane() / 4;
  }
  NIBBLE_DEVICE std::byte* stage(const Work& w, std::uint32_t n) const {
    return shared(w.at.stages) + (warp() * depth + n % depth) * stage_bytes;
  }

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t column_blocks = (shape.head_dim + attend_columns - 1) / attend_columns;
    Work w{};
    w.tile = shape.tile(device::block_x() / column_blocks, device::block_y() % shape.runs);
    if (w.tile.n_rows == 0) return;
    w.at = attend_places<type, M>(shape.head_dim);
    w.first_column = device::block_x() % column_blocks * attend_columns;
    const std::uint32_t columns = shape.head_dim - w.first_column;
    w.slices = columns < attend_columns ? (columns + 63) / 64 : attend_warps;
    w.stretches = attend_warps / w.slices;
    w.slice = warp() % w.slices;
    w.stretch = warp() / w.slices;
    std::uint32_t span = w.tile.first_span(), end = w.tile.end_span();
    const std::uint32_t nth = device::block_y() / shape.runs;
    if (partials.data != nullptr) {
      span += first_span + nth;
      if (span >= end) return;
      end = span + 1;
    }
    Softmax so_far[M][2] = {};
    Tiles outputs = {};
    for (const std::uint32_t first = span; span < end; ++span) {
      if (span != first) device::sync_block();  // of the last one nothing is read any more
      begin_span(w, span);
      if (span == first) {  // its keys are on their way
        load_queries(w);
        device::sync_block();
      }
      merge_span(w, outputs, so_far);
    }
    if (w.stretch != 0) return;
    if (partials.data != nullptr)
      store_partial(w, nth, outputs, so_far);
    else
      store_outputs(w, outputs, so_far);
  }

  NIBBLE_DEVICE void merge_span(const Work& w, Tiles& outputs, Softmax (&so_far)[M][2]) const {
    Softmax softmax[M][2];
    Tiles next;
    compute_span(w, next, softmax);
    if (w.stretch != 0) return;
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      const std::uint32_t m = n / 2, j = n % 2;
      const Weighing by = merge(so_far[m][j], softmax[m][j]);
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 16; ++i) {
        float& value = outputs[m][i / 2][2 * j + i % 2];
        value = merged(value, next[m][i / 2][2 * j + i % 2], by);
      }
    }
  }

  // Queries as operands, scaled so that the largest of each is in [2^14, 2^15); what scores are to be
  // multiplied with, and the positions that each query sees. A warp takes every fourth query.
  NIBBLE_DEVICE void load_queries(const Work& w) const {
    const std::uint32_t n_units = w.at.weights / (M * Keys::terms * 64);  // of 16 columns, 8 of two
    for (std::uint32_t i = warp(); i < n_queries; i += attend_warps) {
      const bool is_one = i < w.tile.n_queries;
      const std::uint32_t n_heads = shape.n_kv_heads * shape.group;
      const std::uint32_t query = is_one ? shape.query(w.tile, i) : 0;
      const float* from = q.row(query / n_heads) + std::size_t{query % n_heads} * shape.head_dim;
      const std::uint32_t exponent = exponent_of_largest(from, is_one ? shape.head_dim : 0);
      const float up = device::float_of((268 - exponent) << 23);
      for (std::uint32_t unit = lane(); unit < n_units; unit += device::warp_size) {
        const std::uint32_t step = unit / 8, half = unit / 4 % 2, d = 16 * step + 8 * half + unit % 4;
        const float low = is_one && d < shape.head_dim ? from[d] * up : 0.0f;
        const float high = is_one && d + 4 < shape.head_dim ? from[d + 4] * up : 0.0f;
        std::uint32_t terms[Keys::terms];
        split<Keys>(low, high, terms);
        NIBBLE_UNROLL
        for (std::uint32_t n = 0; n < Keys::terms; ++n) {
          const std::uint32_t place =
              ((i / 16 * (n_units / 8) + step) * Keys::terms + n) * device::warp_size + i % 8 * 4 + unit % 4;
          reinterpret_cast<std::uint32_t*>(shared(0))[place * 4 + 2 * half + i % 16 / 8] = terms[n];
        }
      }
      if (lane() != 0) continue;
      auto* range = reinterpret_cast<std::uint32_t*>(shared(w.at.ranges)) + 2 * i;
      range[0] = is_one ? shape.begin(query / n_heads) : 0;
      range[1] = is_one ? shape.end(query / n_heads) - range[0] : 0;
      reinterpret_cast<float*>(shared(w.at.factors))[i] = scale * device::float_of((exponent - 14) << 23);
    }
  }
  // Such that 2^(141 - it) and its inverse are normal; of infinities and NaNs that of the largest float.
  NIBBLE_DEVICE static std::uint32_t exponent_of_largest(const float* from, std::uint32_t n) {
    std::uint32_t largest = 15;
    for (std::uint32_t d = lane(); d < n; d += device::warp_size) {
      const std::uint32_t exponent = device::bits_of(from[d]) >> 23 & 255u;
      if (exponent > largest && exponent < 255) largest = exponent;
    }
    for (std::uint32_t mask = 16; mask != 0; mask /= 2) {
      const std::uint32_t other = device::shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    return largest;
  }

  // What is to be done of a span, and its first copies.
  NIBBLE_DEVICE void begin_span(Work& w, std::uint32_t span) const {
    w.first = span * attend_span;
    w.begin = w.tile.begin > w.first ? w.tile.begin : w.first;
    w.end = w.tile.end < w.first + attend_span ? w.tile.end : w.first + attend_span;
    const std::uint32_t from = (w.begin - w.first) / kv_page_size;
    const std::uint32_t to = (w.end - w.first - 1) / kv_page_size + 1;
    w.key_stages = warp() >= from && warp() < to ? (shape.head_dim + 16 * steps - 1) / (16 * steps) : 0;
    const std::uint32_t n_pages = attend_warps / w.stretches, mine = w.stretch * n_pages;
    w.first_page = mine > from ? mine : from;
    const std::uint32_t end_page = mine + n_pages < to ? mine + n_pages : to;
    w.n_value_stages =
        w.stretch < w.stretches && end_page > w.first_page ? (end_page - w.first_page) * page_stages : 0;
    if (w.key_stages != 0) w.keys = copies(w).part(warp(), w.tile.kv_head);
    if (type == KvType::Q8_0 && w.key_stages != 0) copies(w).copy_scales();
    for (std::uint32_t n = 0; n < depth - 1; ++n) copy_stage(w, n);
  }
  // Its outputs, whole in the warps of stretch 0, and how they are to be weighed.
  NIBBLE_DEVICE void compute_span(const Work& w, Tiles& outputs, Softmax (&softmax)[M][2]) const {
    Tiles scores = {};
    for (std::uint32_t n = 0; n < w.key_stages; ++n) {
      next_stage(w, n);
      add_scores(w, n, scores);
    }
    weigh(w, scores, softmax);
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < M * 32; ++i) outputs[i / 32][i / 4 % 8][i % 4] = 0.0f;
    for (std::uint32_t n = 0; n < w.n_value_stages; ++n) {
      next_stage(w, w.key_stages + n);
      add_values(w, n, outputs);
    }
    if (w.stretches > 1) add_stretches(w, outputs);
  }

  NIBBLE_DEVICE AttendCopies<type> copies(const Work& w) const { return {shape, pages, w}; }
  NIBBLE_DEVICE void copy_stage(const Work& w, std::uint32_t n) const {
    copies(w).copy_stage(n, stage(w, n));
    device::end_copy_group();
  }
  // Waits for stage n, and sends for the one whose place the last left.
  NIBBLE_DEVICE void next_stage(const Work& w, std::uint32_t n) const {
    device::wait_copies<depth - 2>();
    device::sync_warp();
    copy_stage(w, n + depth - 1);
  }

  NIBBLE_DEVICE void load_operand(const std::byte* from, std::uint32_t (&a)[4]) const {
    const device::Words4 words = device::load_words4(from + lane() * 16);
    a[0] = words.x, a[1] = words.y, a[2] = words.z, a[3] = words.w;
  }

  NIBBLE_DEVICE void add_scores(const Work& w, std::uint32_t n, Tiles& scores) const {
    Chunks<type> chunks[steps];
    NIBBLE_UNROLL
    for (std::uint32_t h = 0; h < steps; ++h) chunks[h] = load_keys<type>(stage(w, n), h);
    NIBBLE_UNROLL
    for (std::uint32_t m = 0; m < M; ++m) {
      std::uint32_t a[steps * Keys::terms][4];
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < steps * Keys::terms; ++i)
        load_operand(shared(m * w.at.weights / M) + (n * steps * Keys::terms + i) * 512, a[i]);
      NIBBLE_UNROLL
      for (std::uint32_t t = 0; t < 8; ++t) {
        float sums[4] = {}, (&to)[4] = type == KvType::Q8_0 ? sums : scores[m][t];
        NIBBLE_UNROLL
        for (std::uint32_t h = 0; h < steps; ++h) {
          std::uint32_t b[2];
          chunks[h].template operand<Keys>(t, b);
          NIBBLE_UNROLL
          for (std::uint32_t term = Keys::terms; term-- > 0;)
            Keys::multiply(to, a[h * Keys::terms + term], b);
        }
        if (type == KvType::Q8_0) add_scaled(w, n, t, sums, scores[m][t], shape.head_dim);
      }
    }
  }
  // Sums of a stage's columns, which share a scale.
  NIBBLE_DEVICE static void add_scaled(const Work& w, std::uint32_t n, std::uint32_t t,
                                       const float (&sums)[4], float (&scores)[4], std::uint32_t head_dim) {
    const auto* scales = reinterpret_cast<const std::uint16_t*>(shared(w.at.key_scales)) +
                         (warp() * head_dim / kv_scale_block + n) * kv_page_size + lane() % 4 * 16 + t;
    const float first = device::half_to_float(scales[0]), second = device::half_to_float(scales[8]);
    scores[0] = device::fma(first, sums[0], scores[0]);
    scores[1] = device::fma(second, sums[1], scores[1]);
    scores[2] = device::fma(first, sums[2], scores[2]);
    scores[3] = device::fma(second, sums[3], scores[3]);
  }

  // Scores to weights in shared memory; the largest score and the sum of weights of each query.
  NIBBLE_DEVICE void weigh(const Work& w, Tiles& scores, Softmax (&softmax)[M][2]) const {
    const float none = device::float_of(0xff800000u);
    auto* maxima = reinterpret_cast<float*>(shared(w.at.maxima));
    auto* sums = reinterpret_cast<float*>(shared(w.at.sums));
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      const std::uint32_t m = n / 2, j = n % 2;
      const float factor = reinterpret_cast<const float*>(shared(w.at.factors))[row(m, j)];
      const auto* range = reinterpret_cast<const std::uint32_t*>(shared(w.at.ranges)) + 2 * row(m, j);
      const std::uint32_t first =
          w.first + warp() * kv_page_size + lane() % 4 * 16 - range[0];  // may wrap around
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 16; ++i) {
        float& score = scores[m][i % 8][2 * j + i / 8];
        score = score * factor;
      }
      if (softcap != 0.0f) {
        NIBBLE_UNROLL
        for (std::uint32_t i = 0; i < 16; ++i) {
          float& score = scores[m][i % 8][2 * j + i / 8];
          score = soft_capped(score, softcap);
        }
      }
      float max = none;
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 16; ++i) {
        float& score = scores[m][i % 8][2 * j + i / 8];
        score = first + i < range[1] ? score : none;
        max = device::max(max, score);
      }
      max = device::max(max, device::shuffle_xor(max, 1));
      max = device::max(max, device::shuffle_xor(max, 2));
      if (lane() % 4 == 0) maxima[warp() * n_queries + row(m, j)] = max;
    }
    device::sync_block();
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      const std::uint32_t m = n / 2, j = n % 2;
      float max = none;
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < attend_warps; ++i)
        max = device::max(max, maxima[i * n_queries + row(m, j)]);
      softmax[m][j].max = max;
      const float base = max == none ? 0.0f : max;
      float sum = 0.0f;
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < 16; ++i) {
        float& weight = scores[m][i % 8][2 * j + i / 8];
        weight = device::exp(weight - base);
        sum = sum + weight;
      }
      sum = sum + device::shuffle_xor(sum, 1);
      sum = sum + device::shuffle_xor(sum, 2);
      if (lane() % 4 == 0) sums[warp() * n_queries + row(m, j)] = sum;
      NIBBLE_UNROLL
      for (std::uint32_t step = 0; step < 4; ++step) {
        const auto bits = [&](std::uint32_t i) {
          return device::bits_of(scores[m][step % 2 * 4 + i][2 * j + step / 2]);
        };
        device::store_words4(weights_of(w, warp(), m, step, j), {bits(0), bits(1), bits(2), bits(3)});
      }
    }
    device::sync_block();
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      float& sum = softmax[n / 2][n % 2].sum;
      sum = sums[row(n / 2, n % 2)];
      NIBBLE_UNROLL
      for (std::uint32_t i = 1; i < attend_warps; ++i) sum = sum + sums[i * n_queries + row(n / 2, n % 2)];
    }
  }
  // Of this lane: weights of positions 16 (lane % 4) + 4 step of a page, and of the three that follow.
  NIBBLE_DEVICE std::byte* weights_of(const Work& w, std::uint32_t page, std::uint32_t m, std::uint32_t step,
                                      std::uint32_t j) const {
    const std::uint32_t place = ((page * M + m) * 4 + step) * 2 + j;
    return shared(w.at.weights) + (place * device::warp_size + lane()) * 16;
  }

  NIBBLE_DEVICE void add_values(const Work& w, std::uint32_t n, Tiles& outputs) const {
    const std::uint32_t page = w.first_page + n / page_stages;
    NIBBLE_UNROLL
    for (std::uint32_t h = 0; h < steps; ++h) {
      const std::uint32_t step = n % page_stages * steps + h;
      const Chunks<type> chunks = load_values<type>(stage(w, w.key_stages + n), h);
      NIBBLE_UNROLL
      for (std::uint32_t m = 0; m < M; ++m) {
        float weights[2][4];
        NIBBLE_UNROLL
        for (std::uint32_t j = 0; j < 2; ++j) {
          const device::Words4 words = device::load_words4(weights_of(w, page, m, step, j));
          weights[j][0] = device::float_of(words.x), weights[j][1] = device::float_of(words.y);
          weights[j][2] = device::float_of(words.z), weights[j][3] = device::float_of(words.w);
        }
        if constexpr (type == KvType::Q8_0) {
          float scaled[2][4];
          NIBBLE_UNROLL
          for (std::uint32_t b = 0; b < 2; ++b) {
            if (w.first_column + 64 * w.slice + 32 * b >= shape.head_dim) break;
            scale_weights(w, page, step, b, weights, scaled);
            multiply_values<4>(chunks, scaled, 4 * b, outputs[m]);
          }
        } else {
          multiply_values<8>(chunks, weights, 0, outputs[m]);
        }
      }
    }
  }
  // Weights times the scales of the warp's columns from 32 b on.
  NIBBLE_DEVICE void scale_weights(const Work& w, std::uint32_t page, std::uint32_t step, std::uint32_t b,
                                   const float (&weights)[2][4], float (&scaled)[2][4]) const {
    const std::uint32_t blocks = shape.head_dim / kv_scale_block;
    const auto* scales = reinterpret_cast<const std::uint16_t*>(shared(w.at.value_scales)) +
                         (page * kv_page_size + lane() % 4 * 16 + 4 * step) * blocks +
                         (w.first_column + 64 * w.slice) / kv_scale_block + b;
    NIBBLE_UNROLL
    for (std::uint32_t k = 0; k < 4; ++k) {
      const float d = device::half_to_float(scales[k * blocks]);
      NIBBLE_UNROLL
      for (std::uint32_t j = 0; j < 2; ++j) {
        const float x = weights[j][k];
        scaled[j][k] = x > 0.0f ? x * d : x;  // where nothing is seen the scale may be anything
      }
    }
  }
  // Tiles [first, first + n) of a tile of queries.
  template <std::uint32_t n>
  NIBBLE_DEVICE static void multiply_values(const Chunks<type>& chunks, const float (&weights)[2][4],
                                            std::uint32_t first, float (&outputs)[8][4]) {
    std::uint32_t a[Values::terms][4];
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      std::uint32_t terms[Values::terms];
      split<Values>(weights[i % 2][i / 2 * 2], weights[i % 2][i / 2 * 2 + 1], terms);
      NIBBLE_UNROLL
      for (std::uint32_t term = 0; term < Values::terms; ++term) a[term][i] = terms[term];
    }
    NIBBLE_UNROLL
    for (std::uint32_t t = 0; t < n; ++t) {
      std::uint32_t b[2];
      chunks.template operand<Values>(first + t, b);
      NIBBLE_UNROLL
      for (std::uint32_t term = Values::terms; term-- > 0;) Values::multiply(outputs[first + t], a[term], b);
    }
  }

  // Through the place of the weights, when all have read them.
  NIBBLE_DEVICE void add_stretches(const Work& w, Tiles& outputs) const {
    const auto place = [&](std::uint32_t stretch, std::uint32_t i) {
      const std::uint32_t warp_of = (stretch - 1) * w.slices + w.slice;
      return shared(w.at.weights) + ((warp_of * M * 8 + i) * device::warp_size + lane()) * 16;
    };
    device::sync_block();
    if (w.stretch != 0 && w.stretch < w.stretches) {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < M * 8; ++i) {
        const float(&c)[4] = outputs[i / 8][i % 8];
        device::store_words4(place(w.stretch, i), {device::bits_of(c[0]), device::bits_of(c[1]),
                                                   device::bits_of(c[2]), device::bits_of(c[3])});
      }
    }
    device::sync_block();
    if (w.stretch != 0) return;
    for (std::uint32_t stretch = 1; stretch < w.stretches; ++stretch) {
      NIBBLE_UNROLL
      for (std::uint32_t i = 0; i < M * 8; ++i) {
        float(&c)[4] = outputs[i / 8][i % 8];
        const device::Words4 words = device::load_words4(place(stretch, i));
        c[0] = c[0] + device::float_of(words.x);
        c[1] = c[1] + device::float_of(words.y);
        c[2] = c[2] + device::float_of(words.z);
        c[3] = c[3] + device::float_of(words.w);
      }
    }
  }

  // The warp's columns of row j of tile m to a query's outputs (head_dim), times `factor`.
  NIBBLE_DEVICE void store_row(const Work& w, const Tiles& outputs, std::uint32_t m, std::uint32_t j,
                               float factor, float* to) const {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t t = i / 2 * 4, c = 2 * j + i % 2;
      const std::uint32_t column = w.first_column + 64 * w.slice + value_column<type>(t, i % 2);
      float values[4];
      NIBBLE_UNROLL
      for (std::uint32_t k = 0; k < 4; ++k) values[k] = outputs[m][t + k][c] * factor;
      if (column + 4 <= shape.head_dim && device::is_aligned16(to + column)) {
        device::store_words4(to + column, {device::bits_of(values[0]), device::bits_of(values[1]),
                                           device::bits_of(values[2]), device::bits_of(values[3])});
      } else {
        NIBBLE_UNROLL
        for (std::uint32_t k = 0; k < 4; ++k)
          if (column + k < shape.head_dim) to[column + k] = values[k];
      }
    }
  }

  NIBBLE_DEVICE void store_outputs(const Work& w, const Tiles& outputs,
                                   const Softmax (&softmax)[M][2]) const {
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      const std::uint32_t i = row(n / 2, n % 2);
      if (i >= w.tile.n_queries) continue;
      const std::uint32_t query = shape.query(w.tile, i), n_heads = shape.n_kv_heads * shape.group;
      const std::uint32_t head = query % n_heads;
      store_row(w, outputs, n / 2, n % 2, last_factor(softmax[n / 2][n % 2], sinks, head),
                out.row(query / n_heads) + std::size_t{head} * shape.head_dim);
    }
  }
  NIBBLE_DEVICE void store_partial(const Work& w, std::uint32_t span, const Tiles& outputs,
                                   const Softmax (&softmax)[M][2]) const {
    NIBBLE_UNROLL
    for (std::uint32_t n = 0; n < 2 * M; ++n) {
      const std::uint32_t i = row(n / 2, n % 2);
      if (i >= w.tile.n_queries) continue;
      const std::uint32_t query = shape.query(w.tile, i);
      store_row(w, outputs, n / 2, n % 2, 1.0f, partials.out(span, query));
      if (w.slice == 0 && w.first_column == 0 && lane() % 4 == 0)
        partials.softmax(span, query) = softmax[n / 2][n % 2];
    }
  }
};

}  // namespace nibble::inline v0::cuda
