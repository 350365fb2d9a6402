// Single elements of a page of keys and values on the device, and the kernel that appends to the cache.
// The same bytes as nibble/backend/kv_page.hpp draws and src/backend/kv_page.cpp writes.
#pragma once

#include "kernels/cuda/device.hpp"
#include "kernels/cuda/kernel_list.hpp"
#include "kernels/cuda/row_kernels.hpp"
#include "nibble/backend/kv_page.hpp"

namespace nibble::inline v0::cuda {

// Where one layer's pages of a batch's sequences are.
struct PagesOfLayer {
  std::byte* pool;
  std::uint64_t page_bytes, head_bytes;
  const std::uint32_t* table;  // pages of all sequences and layers
  const std::uint32_t* first;  // (sequences): page n of a sequence is table[first + n], which may wrap around

  // The part of head `head` of keys, or where n_kv_heads are added of values, in the page of a position.
  NIBBLE_DEVICE std::byte* part(std::uint32_t sequence, std::uint32_t position, std::uint32_t head) const {
    const std::uint32_t page = table[first[sequence] + position / kv_page_size];
    return pool + page * page_bytes + head * head_bytes;
  }
};

// The place of element d of a slot, and of its scale.
template <KvPart part>
NIBBLE_DEVICE std::uint32_t kv_element(std::uint32_t head_dim, std::uint32_t slot, std::uint32_t d) {
  return part == KvPart::keys ? d * kv_page_size + slot : slot * head_dim + d;
}

// Finite stays finite; what is no number stays none.
template <KvType type>
NIBBLE_DEVICE std::uint16_t to_sixteen_bits(float x) {
  const float largest = type == KvType::F16 ? 65504.0f : device::float_of(0x7f7f0000u);
  const std::uint32_t magnitude = device::bits_of(x) & 0x7fffffffu;
  if (magnitude < 0x7f800000u) x = x > largest ? largest : x < -largest ? -largest : x;
  if constexpr (type == KvType::F16) return device::float_to_half(x);
  const std::uint32_t bits = device::bits_of(x);
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

// Thirty-two numbers as Q8_0's encoder rounds them, where all weigh the same: the search of
// nibble/quant/fit.hpp, operation by operation. A warp does it: each lane one of the scales that are tried.
struct Q8Block {
  float x[kv_scale_block];

  NIBBLE_DEVICE explicit Q8Block(const float* in) {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < kv_scale_block; ++i) x[i] = limited(in[i]);
  }

  static NIBBLE_DEVICE float limited(float in) {
    const float limit = 0x1p40f;
    return !(in == in) ? 0.0f : in > limit ? limit : in < -limit ? -limit : in;
  }

  struct Sums {
    float xq = 0.0f, qq = 0.0f;
    NIBBLE_DEVICE float best_scale() const { return qq > 0.0f ? xq / qq : 0.0f; }
    NIBBLE_DEVICE float best_gain() const {
      const float scale = best_scale();
      return scale * (2.0f * xq - scale * qq);
    }
  };

  static NIBBLE_DEVICE float nearest(float value) {
    const float shift = 0x1.8p23f;
    value = value < -127.0f ? -127.0f : value;
    value = value > 127.0f ? 127.0f : value;
    return (value + shift) - shift;
  }

  NIBBLE_DEVICE Sums sums_at(float inverse) const {
    const float weight = 1.0f + 1e-4f;
    float xq[8] = {}, qq[8] = {};
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < kv_scale_block; ++i) {
      const float q = nearest(x[i] * inverse), wq = weight * q;
      xq[i % 8] = xq[i % 8] + wq * x[i];
      qq[i % 8] = qq[i % 8] + wq * q;
    }
    Sums sums{xq[0], qq[0]};
    NIBBLE_UNROLL
    for (std::uint32_t l = 1; l < 8; ++l) {
      sums.xq = sums.xq + xq[l];
      sums.qq = sums.qq + qq[l];
    }
    return sums;
  }

  NIBBLE_DEVICE std::uint16_t fit_scale() const {
    float extreme = 0.0f;
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < kv_scale_block; ++i)
      extreme = device::abs(x[i]) > device::abs(extreme) ? x[i] : extreme;
    Sums best;
    const auto keep_better = [&](const Sums& sums) {
      if (sums.best_gain() > best.best_gain()) best = sums;
    };
    if (!(device::abs(extreme) < 0x1p-100f)) {
      const int lane = static_cast<int>(device::thread() % device::warp_size);
      const float outermost = lane < 7 ? -127.0f : 127.0f;
      const Sums mine = sums_at((outermost + static_cast<float>(lane % 7 - 3) / 4.0f) / extreme);
      for (std::uint32_t k = 0; k < 14; ++k)
        keep_better({device::shuffle(mine.xq, k), device::shuffle(mine.qq, k)});
      for (int round = 0; round < 2 && best.xq != 0.0f; ++round)
        keep_better(sums_at(1.0f / best.best_scale()));
    }
    return to_sixteen_bits<KvType::F16>(best.best_scale());
  }

  NIBBLE_DEVICE static float inverse_or_zero(float scale) {
    const float inverse = 1.0f / scale;
    return (device::bits_of(inverse) & 0x7fffffffu) < 0x7f800000u ? inverse : 0.0f;
  }
};

// Heads of a batch, (tokens, n_heads, head_dim) in rows `stride` apart, and what is done to them in place
// before attention: a norm where there is a weight, then a rotation where there are angles.
struct Heads {
  float* data;
  std::uint32_t stride, n_heads;
  NormOfGroup norm;
  Rotation rotation;

  NIBBLE_DEVICE bool change() const { return norm.weight != nullptr || rotation.angles != nullptr; }
};

// Prepares the heads of queries and keys, and appends keys and values to the cache. Blocks (tokens, heads of
// queries where anything is done to them, then of keys, then of values); of one head it stays in shared
// memory: (head_dim), then what the norm takes.
template <KvType type>
struct StoreKv {
  using Row = BlockRow<256, 1>;
  static constexpr std::uint32_t threads = Row::threads;
  Heads queries, keys;  // values follow the keys, as many
  std::uint32_t head_dim;
  const std::uint32_t *positions, *sequence;  // (tokens)
  PagesOfLayer pages;

  static constexpr std::uint32_t shared_bytes(std::uint32_t head_dim) {
    return head_dim * sizeof(float) + Row::shared_bytes;
  }

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t t = device::block_x(), n_queries = queries.change() ? queries.n_heads : 0;
    if (device::block_y() < n_queries) {
      prepare(queries, device::block_y());
      return;
    }
    const std::uint32_t head = device::block_y() - n_queries, slot = positions[t] % kv_page_size;
    std::byte* to = pages.part(sequence[t], positions[t], head);
    if (head < keys.n_heads)
      store<KvPart::keys>(keys.change() ? prepare(keys, head) : row(keys, head), slot, to);
    else
      store<KvPart::values>(row(keys, head), slot, to);
  }

  NIBBLE_DEVICE float* row(const Heads& heads, std::uint32_t head) const {
    return heads.data + std::size_t{device::block_x()} * heads.stride + std::size_t{head} * head_dim;
  }

  // Where in shared memory the changed head is.
  NIBBLE_DEVICE const float* prepare(const Heads& heads, std::uint32_t head) const {
    float *in_place = row(heads, head), *x = reinterpret_cast<float*>(device::shared());
    // On its way together with the head.
    const Rotation& rotation = heads.rotation;
    const bool rotates = rotation.angles != nullptr;
    Rotation::Turn turn{};
    if (rotates) turn = rotation.turn(device::block_x(), device::thread());
    if (heads.norm.weight != nullptr) {
      Row of_head;
      heads.norm.normalise(of_head, in_place, x, device::shared() + head_dim * sizeof(float));
    } else {
      for (std::uint32_t d = device::thread(); d < head_dim; d += threads) x[d] = in_place[d];
    }
    device::sync_block();
    if (rotates) {
      for (std::uint32_t j = device::thread(); j < rotation.n_pairs; j += threads) {
        if (j >= threads) turn = rotation.turn(device::block_x(), j);
        rotation.rotate(x, j, turn);
      }
      device::sync_block();
    }
    for (std::uint32_t d = device::thread(); d < head_dim; d += threads) in_place[d] = x[d];
    return x;
  }

  template <KvPart part>
  NIBBLE_DEVICE void store(const float* row, std::uint32_t slot, std::byte* to) const {
    if constexpr (type == KvType::Q8_0) {
      for (std::uint32_t b = device::thread() / device::warp_size; b < head_dim / kv_scale_block;
           b += threads / device::warp_size)
        store_block<part>(row + b * kv_scale_block, slot, b, to);
    } else {
      for (std::uint32_t d = device::thread(); d < head_dim; d += threads) {
        const std::uint32_t at = kv_element<part>(head_dim, slot, d);
        if constexpr (type == KvType::F32)
          reinterpret_cast<float*>(to)[at] = row[d];
        else
          reinterpret_cast<std::uint16_t*>(to)[at] = to_sixteen_bits<type>(row[d]);
      }
    }
  }

  // By a warp, a lane an element.
  template <KvPart part>
  NIBBLE_DEVICE void store_block(const float* row, std::uint32_t slot, std::uint32_t b, std::byte* to) const {
    static_assert(kv_scale_block == device::warp_size);
    const std::uint16_t scale = Q8Block(row).fit_scale();
    const std::uint32_t lane = device::thread() % device::warp_size;
    auto* scales = reinterpret_cast<std::uint16_t*>(to + std::size_t{kv_page_size} * head_dim);
    if (lane == 0) scales[kv_element<part>(head_dim / kv_scale_block, slot, b)] = scale;
    const float inverse = Q8Block::inverse_or_zero(device::half_to_float(scale));
    reinterpret_cast<std::int8_t*>(to)[kv_element<part>(head_dim, slot, b * kv_scale_block + lane)] =
        static_cast<std::int8_t>(Q8Block::nearest(Q8Block::limited(row[lane]) * inverse));
  }
};

using KvKernels =
    KernelList<StoreKv<KvType::F32>, StoreKv<KvType::F16>, StoreKv<KvType::BF16>, StoreKv<KvType::Q8_0>>;

}  // namespace nibble::inline v0::cuda
