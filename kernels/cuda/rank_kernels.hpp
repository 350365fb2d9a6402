// Ranking rows of logits: the highest of each, and what log-probabilities take of all others.
// Between the last step of a pass and the host, which then reads a few keys rather than a vocabulary of
// floats. Equals rank() of nibble/sample/sampler.hpp.
//
// A key orders as its logit and, of equal logits, the lower token first; 0 stands for none:
//
//   | logit's bits, made to order as it does, 32 | ~token, 32 |
//
// A block sorts 1024 keys in shared memory (bitonic, 55 rounds; the highest alone takes two) and passes the
// first n on, until one block has all that are left. Bound by the latency of those rounds: two or three
// launches a row.
//
// That block leaves the row's record in the host's memory, and in what the batch brought along the next
// token, the highest or a drawn one, at the next position: the pass that goes on with it can be launched
// before the host knows the token.
#pragma once

#include "kernels/cuda/draw_ranked.hpp"
#include "kernels/cuda/row_kernels.hpp"

namespace nibble::inline v0::cuda {

using RankKey = std::uint64_t;

// NaN counts as -infinity, +infinity as the largest float, and both zeros are equal.
NIBBLE_DEVICE float rankable(float logit) {
  const float least = device::float_of(0xff800000u), most = device::float_of(0x7f7fffffu);
  return !(logit == logit) ? least : logit > most ? most : logit == 0.0f ? 0.0f : logit;
}
NIBBLE_DEVICE RankKey key_of(float logit, std::uint32_t token) {
  const std::uint32_t bits = device::bits_of(logit);
  return RankKey{(bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u} << 32 | (~token & 0xffffffffu);
}
NIBBLE_DEVICE float logit_of(RankKey key) {
  const auto bits = static_cast<std::uint32_t>(key >> 32);
  return device::float_of((bits & 0x80000000u) != 0 ? bits & 0x7fffffffu : ~bits);
}
NIBBLE_DEVICE std::uint32_t token_of_key(RankKey key) { return ~static_cast<std::uint32_t>(key); }

// The highest of some logits, and the sum of e^(logit - top) over them.
struct RankTotal {
  double sum;
  float top;
};

// What the host is told of a row besides its highest.
struct RankEnd {
  RankTotal total;
  std::uint32_t next;  // the token that the pass after it begins with, where it begins unasked
};

// Rows in short, as the host finds them: of each its n highest keys, then its end. There are two places for a
// row, for even and odd positions, so that a pass does not write where the one before it is read.
struct RankRecords {
  std::byte* places;    // (2, n_places, the longest record)
  std::uint32_t bytes;  // of the longest record
  std::uint32_t n_places;

  NIBBLE_DEVICE RankKey* keys(std::uint32_t row, std::uint32_t position) const {
    return reinterpret_cast<RankKey*>(places + std::size_t{position % 2 * n_places + row} * bytes);
  }
};
NIBBLE_DEVICE RankEnd* end_after(RankKey* keys, std::uint32_t n) {
  return reinterpret_cast<RankEnd*>(keys + n);
}

// What a block of `threads` does with its keys and its part of a total.
struct RankBlock {
  static constexpr std::uint32_t threads = 512, keys = 2 * threads, warps = threads / device::warp_size;
  static constexpr std::uint32_t shared_bytes =
      keys * sizeof(RankKey) + (DrawRanked::n_weights + warps) * sizeof(double) + warps * sizeof(float);
  RankKey* key;     // (keys)
  double* weights;  // DrawRanked's
  double* sums;     // (warps)
  float* tops;      // (warps)

  NIBBLE_DEVICE RankBlock() {
    key = reinterpret_cast<RankKey*>(device::shared());
    weights = reinterpret_cast<double*>(key + keys);
    sums = weights + DrawRanked::n_weights;
    tops = reinterpret_cast<float*>(sums + warps);
  }

  // Brings the n highest to the front, in falling order. Each thread has written its own two keys, `threads`
  // apart, and reads its own of the n.
  NIBBLE_DEVICE void sort(std::uint32_t n) const { n == 1 ? find_highest() : sort_all(); }
  NIBBLE_DEVICE void find_highest() const {
    RankKey best = key[device::thread()], other = key[device::thread() + threads];
    best = best < other ? other : best;
    for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2) {
      other = device::shuffle_xor(best, mask);
      best = best < other ? other : best;
    }
    device::sync_block();
    if (device::thread() % device::warp_size == 0) key[device::thread() / device::warp_size] = best;
    device::sync_block();
    for (std::uint32_t w = 0; device::thread() == 0 && w < warps; ++w) best = best < key[w] ? key[w] : best;
    if (device::thread() == 0) key[0] = best;
  }
  NIBBLE_DEVICE void sort_all() const {
    device::sync_block();
    for (std::uint32_t size = 2; size <= keys; size *= 2) {
      for (std::uint32_t stride = size / 2; stride != 0; stride /= 2) {
        const std::uint32_t t = device::thread(), i = t / stride * 2 * stride + t % stride;
        const RankKey a = key[i], b = key[i + stride];
        if ((a < b) == ((i & size) == 0)) {
          key[i] = b;
          key[i + stride] = a;
        }
        device::sync_block();
      }
    }
  }

  // Of every thread's value, and the same in each of them.
  NIBBLE_DEVICE float highest(float value) const {
    for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2)
      value = device::max(value, device::shuffle_xor(value, mask));
    if (device::thread() % device::warp_size == 0) tops[device::thread() / device::warp_size] = value;
    device::sync_block();
    for (std::uint32_t w = 0; w < warps; ++w) value = device::max(value, tops[w]);
    return value;
  }
  // In a fixed order; in thread 0.
  NIBBLE_DEVICE double sum(double value) const {
    value = sum_of_warp(value);
    if (device::thread() % device::warp_size == 0) sums[device::thread() / device::warp_size] = value;
    device::sync_block();
    double total = sums[0];
    for (std::uint32_t w = 1; w < warps; ++w) total = total + sums[w];
    return total;
  }
};

// Blocks (rows, parts of 1024 logits).
struct RankLogits {
  static constexpr std::uint32_t threads = RankBlock::threads;
  const float* logits;
  std::uint32_t stride, n_logits;
  std::uint32_t n_tokens, n;  // as RankOptions
  std::uint32_t parts;
  RankKey* keys;      // (rows, parts, n)
  RankTotal* totals;  // (rows, parts)

  NIBBLE_DEVICE void operator()() const {
    const RankBlock block;
    const float* row = logits + std::size_t{device::block_x()} * stride;
    const std::size_t place = std::size_t{device::block_x()} * parts + device::block_y();
    float x[2];
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 2; ++i) {
      const std::uint32_t in_part = device::thread() + i * threads,
                          token = device::block_y() * RankBlock::keys + in_part;
      x[i] = token < n_logits ? rankable(row[token]) : device::float_of(0xff800000u);
      block.key[in_part] = token < n_tokens ? key_of(x[i], token) : 0;
    }
    const float top = block.highest(device::max(x[0], x[1]));
    double sum = 0.0;
    // A part without a number has a sum of 0.
    for (const float logit : x)
      if (logit > device::float_of(0xff800000u)) sum = sum + device::exp(logit - top);
    sum = block.sum(sum);
    block.sort(n);
    if (device::thread() < n) keys[place * n + device::thread()] = block.key[device::thread()];
    if (device::thread() == 0) totals[place] = {sum, top};
  }
};

// Blocks (rows, groups of 1024 keys). Where there is one group, it is the row's.
struct MergeRanked {
  static constexpr std::uint32_t threads = RankBlock::threads;
  const RankKey* keys;  // (rows, n_keys)
  std::uint32_t n_keys, n, groups;
  RankKey* merged;          // (rows, groups, n), of several groups
  const RankTotal* totals;  // (rows, parts)
  std::uint32_t parts;
  RankRecords records;
  const std::uint32_t* outputs;  // of the batch
  std::uint32_t *tokens, *positions;
  // (rows), with uniforms by position % most_foreseen; for a caller who does not go on, whatever is there.
  const ForeseenDraws* draws;

  NIBBLE_DEVICE void operator()() const {
    const RankBlock block;
    for (std::uint32_t i = device::thread(); i < RankBlock::keys; i += threads) {
      const std::uint32_t at = device::block_y() * RankBlock::keys + i;
      block.key[i] = at < n_keys ? keys[std::size_t{device::block_x()} * n_keys + at] : 0;
    }
    block.sort(n);
    if (groups == 1) return finish(block);
    const std::size_t place = std::size_t{device::block_x()} * groups + device::block_y();
    if (device::thread() < n) merged[place * n + device::thread()] = block.key[device::thread()];
  }

  NIBBLE_DEVICE void finish(const RankBlock& block) const {
    const std::uint32_t at = outputs[device::block_x()], position = positions[at];
    RankKey* to = records.keys(device::block_x(), position);
    if (device::thread() < n) to[device::thread()] = block.key[device::thread()];
    const DrawRanked draw(draws[device::block_x()], position, n, block.weights);
    const std::uint32_t place = device::thread() % most_ranked;
    if (place < draw.n && device::thread() < DrawRanked::n_weights)
      draw.weigh(static_cast<double>(logit_of(block.key[place])) - logit_of(block.key[0]));
    // After this every thread knows the position, and thread 0 all weights.
    const RankTotal total = add_up(block);
    if (device::thread() != 0) return;
    const RankKey next = block.key[draw.place()];
    // Of a row without any, the first there is.
    const std::uint32_t token = next == 0 ? 0 : token_of_key(next);
    *end_after(to, n) = {total, token};
    tokens[at] = token;
    positions[at] = position + 1;
  }

  // In thread 0.
  NIBBLE_DEVICE RankTotal add_up(const RankBlock& block) const {
    const RankTotal* of_row = totals + std::size_t{device::block_x()} * parts;
    const float least = device::float_of(0xff800000u);
    float top = least;
    for (std::uint32_t p = device::thread(); p < parts; p += threads) top = device::max(top, of_row[p].top);
    top = block.highest(top);
    double sum = 0.0;
    for (std::uint32_t p = device::thread(); p < parts; p += threads)
      if (of_row[p].top > least)
        sum = sum + of_row[p].sum * device::exp(static_cast<double>(of_row[p].top) - top);
    return {block.sum(sum), top};
  }
};

using RankKernels = KernelList<RankLogits, MergeRanked>;

}  // namespace nibble::inline v0::cuda
