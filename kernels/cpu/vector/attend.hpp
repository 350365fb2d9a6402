// Attention over pages of any element type, in float, on vectors of any width.
// The reference it equals is kernels/reference. A tier's attend.cpp makes its AttendKernel of it.
//
// Tiling: keys lie turned in a page, so that a lane is a slot for scores as it is a column for outputs, and
// no sum crosses lanes. Up to six queries share each load and conversion of what the page stores. An output
// is one chain along the positions, a score one along head_dim, so bits do not depend on what else the job
// holds. Bound by memory, which is fetched ahead, at few queries; by multipliers from
// eight on.
#pragma once

#include <limits>
#include <type_traits>

#include "kernels/cpu/vector/attend_rows.hpp"
#include "kernels/cpu/vector/exponential.hpp"

namespace nibble::inline v0::cpu {
namespace {

// Positions whose scores are weighed together: the largest so far is found, and the output so far rescaled,
// once a block. Blocks begin at multiples of their size.
constexpr std::size_t block_pages = 4;
constexpr std::size_t block_slots = block_pages * kv_page_size;

template <class Arch>
class Attend {
 public:
  static constexpr std::size_t max_queries = 64;

  static std::size_t scratch_bytes(std::size_t queries, std::size_t head_dim) {
    const std::size_t of_page = kv_page_size * (attend_width(head_dim) + head_dim / kv_scale_block);
    return (of_page + queries * (block_slots + lanes<Arch> + attend_width(head_dim))) * sizeof(float);
  }

  static void run(const AttendJob& job) {
    switch (job.kv_type) {
      case KvType::F16: return Attend(job).template walk<KvType::F16>();
      case KvType::F32: return Attend(job).template walk<KvType::F32>();
      case KvType::BF16: return Attend(job).template walk<KvType::BF16>();
      case KvType::Q8_0: return Attend(job).template walk<KvType::Q8_0>();
    }
  }

 private:
  using V = Floats<Arch>;

  struct Slots {
    std::size_t begin, end;
  };

  // Queries times vectors of a tile: enough sums to cover the multipliers' delay, and no more than fit the
  // registers (16 on AVX2, else 32).
  static constexpr std::size_t most_together = 6;
  static constexpr std::size_t vectors(std::size_t queries) {
    return lanes<Arch> != 8 || queries <= 2 ? 4 : 2;
  }

  explicit Attend(const AttendJob& job)
      : job_(job), n_(job.n_tokens * job.group), width_(attend_width(job.head_dim)) {
    rows_ = reinterpret_cast<float*>(job.scratch);
    scales_ = rows_ + kv_page_size * width_;
    weights_ = scales_ + kv_page_size * (job.head_dim / kv_scale_block);
    sums_ = weights_ + n_ * block_slots;
    queries_ = sums_ + n_ * lanes<Arch>;
    for (std::size_t i = 0; i < n_; ++i) {
      const float* q = job.q + i / job.group * job.q_stride + i % job.group * job.head_dim;
      for (std::size_t d = 0; d < job.head_dim; ++d) queries_[i * width_ + d] = q[d] * job.scale;
    }
    std::fill(job.max, job.max + n_, -std::numeric_limits<float>::infinity());
    std::fill(sums_, sums_ + n_ * lanes<Arch>, 0.0f);
    std::fill(job.out, job.out + n_ * width_, 0.0f);
  }

  template <KvType type>
  void walk() {
    constexpr std::size_t ahead = type == KvType::Q8_0 ? 2 : 1;  // parts of pages: about 8 KB for heads of 64
    for (std::size_t begin = job_.begin; begin < job_.end; begin = block_ + block_slots) {
      block_ = begin / block_slots * block_slots;
      held_ = {begin - block_, std::min(job_.end - block_, block_slots)};
      const std::size_t first = held_.begin / kv_page_size, last = (held_.end - 1) / kv_page_size;
      const std::size_t n = last - first + 1;
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t page = first + i;
        with_rows<type, KvPart::keys>(part(first, n, i), part(first, n, i + ahead), page,
                                      [&](const auto& rows) { score(rows, page * kv_page_size); });
      }
      const std::size_t n_slots = (last + 1) * kv_page_size;
      for (std::size_t i = 0; i < n_; ++i) find_largest(i, n_slots);
      for (std::size_t i = 0; i < n_; ++i) weigh(i, n_slots);
      for (std::size_t i = n; i < 2 * n; ++i) {
        const std::size_t page = first + i - n;
        with_rows<type, KvPart::values>(part(first, n, i), part(first, n, i + ahead), page,
                                        [&](const auto& rows) { gather(rows, page * kv_page_size); });
      }
    }
    for (std::size_t i = 0; i < n_; ++i) {
      job_.sum[i] = 0;
      for (std::size_t l = 0; l < lanes<Arch>; ++l) job_.sum[i] += sums_[i * lanes<Arch> + l];
    }
  }

  // Part i of what the job reads from this block on: keys of n pages, page `first` of the block and those
  // after it, then their values, then the keys of the next block, be it another job's that walks on.
  const std::byte* part(std::size_t first, std::size_t n, std::size_t i) const {
    const std::size_t beyond = block_ + block_slots + (i - 2 * n) * kv_page_size;
    if (i >= 2 * n && beyond >= job_.position + job_.n_tokens) i = 2 * n - 1;
    const std::size_t page = i < n ? first + i : i < 2 * n ? first + i - n : block_pages + i - 2 * n;
    const bool keys = i < n || i >= 2 * n;
    return job_.pool + job_.pages[block_ / kv_page_size + page] * job_.page_bytes +
           (keys ? job_.keys : job_.values);
  }

  // Calls use() with the rows of a head's keys or values that the job needs: as they are stored, or, where
  // they do not fill vectors or unpacking them once is worth it, as floats. `next`: what is read after them.
  template <KvType type, KvPart part, class Use>
  void with_rows(const std::byte* head, const std::byte* next, std::size_t page, const Use& use) {
    constexpr bool keys = part == KvPart::keys;
    const std::size_t width = keys ? std::size_t{kv_page_size} : job_.head_dim;
    const PageRows<Arch, type, part> stored{head, width, scales_, next - head};
    if constexpr (type == KvType::Q8_0) {
      const std::byte* scales = head + kv_page_size * job_.head_dim;
      for (std::size_t i = 0; i < kv_page_size * (job_.head_dim / kv_scale_block); i += lanes<Arch>) {
        __builtin_prefetch(scales + 2 * i + (next - head));
        load_f16<Arch>(scales + 2 * i).store_unaligned(scales_ + i);
      }
    }
    if (width % lanes<Arch> == 0 && (type != KvType::Q8_0 || n_ <= 4 * most_together)) return use(stored);
    const std::size_t padded = keys ? width : width_;
    const std::size_t held = std::min<std::size_t>(kv_page_size, held_.end - page * kv_page_size);
    for (std::size_t k = 0; k < (keys ? job_.head_dim : held); ++k) {
      for (std::size_t j = 0; j < padded; j += lanes<Arch>) {
        stored.fetch(k, j, stored.ahead);
        stored.load_part(k, j).store_unaligned(rows_ + k * padded + j);
      }
    }
    use(PageRows<Arch, KvType::F32, part>{reinterpret_cast<const std::byte*>(rows_), padded, nullptr, 0});
  }

  // The slots of the block that query i sees; none where begin >= end.
  Slots seen(std::size_t i) const {
    const std::size_t end = job_.position + i / job_.group + 1;
    const std::size_t first = job_.window == 0 || end < job_.window ? 0 : end - job_.window;
    return {std::max(first, block_ + held_.begin) - block_,
            std::clamp(end, block_, block_ + held_.end) - block_};
  }
  // The slots of one of its pages that some of queries [i, i + n) see.
  Slots seen(std::size_t i, std::size_t n, std::size_t page_begin) const {
    return {std::max(seen(i).begin, page_begin) - page_begin,
            std::clamp(seen(i + n - 1).end, page_begin, page_begin + kv_page_size) - page_begin};
  }

  // Calls tile(n, i) for queries [i, i + n), all of them.
  template <std::size_t n = most_together, class Tile>
  [[gnu::always_inline]] void for_tiles(const Tile& tile, std::size_t i = 0) const {
    for (; i + n <= n_; i += n) tile(std::integral_constant<std::size_t, n>(), i);
    if constexpr (n > 1) for_tiles<n - 1>(tile, i);
  }

  // weights[query][slot] = q . keys[slot]
  template <class Rows>
  void score(const Rows& keys, std::size_t page_begin) {
    for_tiles([&](auto n, std::size_t i) {
      constexpr std::size_t n_v = vectors(n);
      const float* q[n];
      for (std::size_t x = 0; x < n; ++x) q[x] = queries_ + (i + x) * width_;
      for (std::size_t j = 0; j < kv_page_size; j += n_v * lanes<Arch>) {
        V sum[n][n_v];
        for (auto& of_query : sum)
          for (V& s : of_query) s = V(0.0f);
        multiply<Arch>(q, keys, 0, job_.head_dim, j, i == 0 ? keys.ahead : 0, sum);
        for (std::size_t x = 0; x < n; ++x)
          for (std::size_t v = 0; v < n_v; ++v)
            sum[x][v].store_unaligned(weights_ + (i + x) * block_slots + page_begin + j + v * lanes<Arch>);
      }
    });
  }

  // The largest score that query i has seen up to this block; scores of the block that it does not see
  // become minus infinity. Its output so far is rescaled.
  void find_largest(std::size_t i, std::size_t n_slots) {
    const Slots slots = seen(i);
    float* scores = weights_ + i * block_slots;
    if (job_.softcap != 0) {
      const V cap(job_.softcap);
      for (std::size_t s = 0; s < n_slots; s += lanes<Arch>)
        (cap * hyperbolic_tangent<Arch>(V::load_unaligned(scores + s) / cap)).store_unaligned(scores + s);
    }
    constexpr float unseen = -std::numeric_limits<float>::infinity();
    if (slots.begin >= slots.end) return std::fill(scores, scores + n_slots, unseen);
    std::fill(scores, scores + slots.begin, unseen);
    std::fill(scores + slots.end, scores + n_slots, unseen);
    V largest(job_.max[i]);
    for (std::size_t s = 0; s < n_slots; s += lanes<Arch>)
      largest = xsimd::max(largest, V::load_unaligned(scores + s));
    const float new_max = largest_lane(largest);
    if (new_max != job_.max[i]) rescale(i, exponential<Arch>(V(job_.max[i] - new_max)));
    job_.max[i] = new_max;
  }

  // Scores become weights relative to the largest.
  void weigh(std::size_t i, std::size_t n_slots) {
    float *weights = weights_ + i * block_slots, *sums = sums_ + i * lanes<Arch>;
    const V largest(std::max(job_.max[i], std::numeric_limits<float>::lowest()));
    V sum = V::load_unaligned(sums);
    for (std::size_t s = 0; s < n_slots; s += lanes<Arch>) {
      const V weight = exponential<Arch>(V::load_unaligned(weights + s) - largest);
      weight.store_unaligned(weights + s);
      sum += weight;
    }
    sum.store_unaligned(sums);
  }

  void rescale(std::size_t i, const V& by) {
    float *sums = sums_ + i * lanes<Arch>, *out = job_.out + i * width_;
    (V::load_unaligned(sums) * by).store_unaligned(sums);
    for (std::size_t d = 0; d < width_; d += lanes<Arch>)
      (V::load_unaligned(out + d) * by).store_unaligned(out + d);
  }

  // out[query] += sum over slots of weights[query][slot] * values[slot]
  template <class Rows>
  void gather(const Rows& values, std::size_t page_begin) {
    for_tiles([&](auto n, std::size_t i) {
      const Slots slots = seen(i, n, page_begin);
      if (slots.begin >= slots.end) return;
      std::size_t j = 0;
      for (; j + vectors(n) * lanes<Arch> <= values.width; j += vectors(n) * lanes<Arch>)
        gather_columns<n, vectors(n)>(values, page_begin, slots, i, j);
      for (; j < values.width; j += lanes<Arch>) gather_columns<n, 1>(values, page_begin, slots, i, j);
    });
  }

  template <std::size_t n, std::size_t n_v, class Rows>
  void gather_columns(const Rows& values, std::size_t page_begin, Slots slots, std::size_t i, std::size_t j) {
    const float* weights[n];
    V sum[n][n_v];
    float* out = job_.out + i * width_ + j;
    for (std::size_t x = 0; x < n; ++x) {
      weights[x] = weights_ + (i + x) * block_slots + page_begin;
      for (std::size_t v = 0; v < n_v; ++v) sum[x][v] = V::load_unaligned(out + x * width_ + v * lanes<Arch>);
    }
    multiply<Arch>(weights, values, slots.begin, slots.end, j, i == 0 ? values.ahead : 0, sum);
    for (std::size_t x = 0; x < n; ++x)
      for (std::size_t v = 0; v < n_v; ++v) sum[x][v].store_unaligned(out + x * width_ + v * lanes<Arch>);
  }

  static float largest_lane(const V& v) {
    float all[lanes<Arch>];
    v.store_unaligned(all);
    for (std::size_t n = lanes<Arch> / 2; n > 0; n /= 2)
      for (std::size_t i = 0; i < n; ++i) all[i] = std::max(all[i], all[i + n]);
    return all[0];
  }

  const AttendJob& job_;
  const std::size_t n_, width_;
  float *rows_, *scales_;  // of one part of a page: as floats; Q8_0's scales
  float* weights_;         // (queries, block_slots)
  float* sums_;            // (queries, lanes): of weights so far
  float* queries_;         // (queries, width), scaled
  std::size_t block_ = 0;  // its first position
  Slots held_ = {};        // of it, within the job's span
};

template <class Arch>
constexpr AttendKernel attend_on = {.max_queries = Attend<Arch>::max_queries,
                                    .scratch_bytes = Attend<Arch>::scratch_bytes,
                                    .run = Attend<Arch>::run};

}  // namespace
}  // namespace nibble::inline v0::cpu
