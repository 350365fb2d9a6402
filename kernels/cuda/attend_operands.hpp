// Keys, values, queries and weights as operands of the tensor cores, and how pages get to shared memory.
// Between the cache (kv_page.hpp) and attend_tiles.hpp.
//
// What a warp reads of the cache goes through stages of 2 KiB of one page. Of lane l, r = l / 4 and q = l %
// 4:
//
//   keys     16 columns (Q8_0: 32) of the page's 64 positions, as they lie. Column n of B number t is
//   position
//            8 n + t, row 2 q + j of its half i is column 16 h + 8 i + 4 j + q of step h
//   values   64 columns of positions 16 q + (0 ... 3) + 4 n of the n-th stage (Q8_0: eight from 8 n on),
//   lines
//            of 128 bytes by turns of each q. Column n of B number t is column 8 n + t of them (Q8_0:
//            32 (t / 4) + 4 n + t % 4, so that a tile has one scale); row 2 q + j of its half i is position
//            16 q + 4 h + 2 i + j
//
// So a lane's eight neighbours come with one load, and are turned by byte permutations; and what one lane
// holds of scores, positions 16 q + (0 ... 15), is what the same lane needs of weights.
#pragma once

#include "kernels/cuda/attend_shape.hpp"

namespace nibble::inline v0::cuda {

// A float as a sum of so many terms: of halves to 2^-22 of it, or 2^-25 where it is below 2^-3 (of weights,
// relative to the largest of a span, 1; of queries, which reach 2^14, relative to 2^-14 of a row's largest);
// of bfloat16s to 2^-26, whatever its magnitude.
struct Halves {
  static constexpr std::uint32_t terms = 2;
  NIBBLE_DEVICE static std::uint32_t pack(float low, float high) { return device::pack_halves(low, high); }
  NIBBLE_DEVICE static float low(std::uint32_t word) { return device::low_half(word); }
  NIBBLE_DEVICE static float high(std::uint32_t word) { return device::high_half(word); }
  NIBBLE_DEVICE static void multiply(float (&c)[4], const std::uint32_t (&a)[4],
                                     const std::uint32_t (&b)[2]) {
    device::multiply_tile(c, a, b);
  }
  // Codes in both bytes of each half of a word, their signs turned.
  NIBBLE_DEVICE static std::uint32_t of_codes(std::uint32_t twice) {
    return device::add_halves(device::and_or(twice, 0x00ff00ffu, 0x64006400u), 0xe480e480u);
  }
  static constexpr std::uint32_t sign = 0x80808080u;
};
struct Bf16s {
  static constexpr std::uint32_t terms = 3;
  NIBBLE_DEVICE static std::uint32_t pack(float low, float high) { return device::pack_bf16s(low, high); }
  NIBBLE_DEVICE static float low(std::uint32_t word) { return device::float_of(word << 16); }
  NIBBLE_DEVICE static float high(std::uint32_t word) { return device::float_of(word & 0xffff0000u); }
  NIBBLE_DEVICE static void multiply(float (&c)[4], const std::uint32_t (&a)[4],
                                     const std::uint32_t (&b)[2]) {
    device::multiply_tile_bf16(c, a, b);
  }
  // Eight bits and a sign do not fit beside an offset: seven bits less what the sign stands for.
  NIBBLE_DEVICE static std::uint32_t of_codes(std::uint32_t twice) {
    return device::subtract_bf16s(device::and_or(twice, 0x007f007fu, 0x43004300u),
                                  device::and_or(twice, 0x00800080u, 0x43004300u));
  }
  static constexpr std::uint32_t sign = 0;
};

// Terms of two neighbours, the largest first.
template <class Terms>
NIBBLE_DEVICE void split(float low, float high, std::uint32_t (&terms)[Terms::terms]) {
  NIBBLE_UNROLL
  for (std::uint32_t& term : terms) {
    term = Terms::pack(low, high);
    low = low - Terms::low(term);
    high = high - Terms::high(term);
  }
}

template <KvType type>
struct KvOperands;
template <>
struct KvOperands<KvType::F16> {
  using Keys = Halves;
  using Values = Halves;
};
template <>
struct KvOperands<KvType::BF16> {
  using Keys = Bf16s;
  using Values = Bf16s;
};
// Weights times scales have no bounds that would suit halves.
template <>
struct KvOperands<KvType::Q8_0> {
  using Keys = Halves;
  using Values = Bf16s;
};

inline constexpr std::uint32_t stage_bytes = 2048;
// Steps of 16 of the product's inner dimension in a stage.
template <KvType type>
inline constexpr std::uint32_t stage_steps = type == KvType::Q8_0 ? 2 : 1;
template <KvType type>
inline constexpr std::uint32_t kv_bytes = type == KvType::Q8_0 ? 1 : 2;

// Where a byte of a stage is, so that the lanes of a load find different banks: of its offset the parts that
// all lanes share and that one lane has to itself, which share no bit.
NIBBLE_DEVICE std::uint32_t in_stage(std::uint32_t of_all, std::uint32_t of_lane) {
  return (of_all ^ (of_all >> 2 & 0x60u)) ^ (of_lane ^ (of_lane >> 2 & 0x60u));
}

// Of step h of a stage what one lane holds: four rows of eight neighbours.
template <KvType type>
struct Chunks {
  static constexpr std::uint32_t words = 2 * kv_bytes<type>;
  std::uint32_t word[4][words];

  // B number t: elements t of rows 0 and 1, and of rows 2 and 3.
  template <class Terms>
  NIBBLE_DEVICE void operand(std::uint32_t t, std::uint32_t (&b)[2]) const {
    NIBBLE_UNROLL
    for (std::uint32_t i = 0; i < 2; ++i) {
      if constexpr (type == KvType::Q8_0) {
        const std::uint32_t n = t % 4 * 0x11u;
        b[i] = Terms::of_codes(device::choose_bytes(
            word[2 * i][t / 4] ^ Terms::sign, word[2 * i + 1][t / 4] ^ Terms::sign, n | (n + 0x44u) << 8));
      } else {
        b[i] =
            device::choose_bytes(word[2 * i][t / 2], word[2 * i + 1][t / 2], t % 2 == 0 ? 0x5410u : 0x7632u);
      }
    }
  }

  NIBBLE_DEVICE void load(std::uint32_t i, const std::byte* from) {
    if constexpr (type == KvType::Q8_0) {
      const device::Words2 w = device::load_words2(from);
      word[i][0] = w.x, word[i][1] = w.y;
    } else {
      const device::Words4 w = device::load_words4(from);
      word[i][0] = w.x, word[i][1] = w.y, word[i][2] = w.z, word[i][3] = w.w;
    }
  }
};

template <KvType type>
NIBBLE_DEVICE Chunks<type> load_keys(const std::byte* stage, std::uint32_t h) {
  const std::uint32_t lane = device::thread() % device::warp_size, r = lane / 4, q = lane % 4;
  Chunks<type> chunks;
  NIBBLE_UNROLL
  for (std::uint32_t i = 0; i < 4; ++i) {
    constexpr std::uint32_t row = kv_page_size * kv_bytes<type>;
    chunks.load(i, stage + in_stage((16 * h + 4 * i) * row, q * row + 8 * r * kv_bytes<type>));
  }
  return chunks;
}

template <KvType type>
NIBBLE_DEVICE Chunks<type> load_values(const std::byte* stage, std::uint32_t h) {
  const std::uint32_t lane = device::thread() % device::warp_size, r = lane / 4, q = lane % 4;
  Chunks<type> chunks;
  NIBBLE_UNROLL
  for (std::uint32_t i = 0; i < 4; ++i) {
    if constexpr (type == KvType::Q8_0) {
      const std::uint32_t row = (2 * h + i / 2) * 512 + i % 2 * 64;
      NIBBLE_UNROLL
      for (std::uint32_t b = 0; b < 2; ++b)
        chunks.word[i][b] = device::load_word(stage + in_stage(row + 32 * b, q * 128 + 4 * r));
    } else {
      chunks.load(i, stage + in_stage(i * 512, q * 128 + 16 * r));
    }
  }
  return chunks;
}
// The column of 64 that is in c[j % 2] of tile t of what load_values gives; four neighbours from t % 4 = 0
// on.
template <KvType type>
NIBBLE_DEVICE std::uint32_t value_column(std::uint32_t t, std::uint32_t j) {
  const std::uint32_t n = 2 * (device::thread() % 4) + j;
  return type == KvType::Q8_0 ? t / 4 * 32 + 4 * n + t % 4 : 8 * n + t;
}

}  // namespace nibble::inline v0::cuda
