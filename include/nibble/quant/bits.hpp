// Planes of bits: how block formats store numbers of fewer than eight bits, all of them in one pattern.
// Used by the formats' split() and join(), and by packing.
#pragma once

#include <cstdint>
#include <cstring>

namespace nibble::inline v0 {

// n numbers of `bits` bits. Each run of `stride` bytes holds 8 / bits layers of `stride` numbers, the first
// layer in the lowest bits:
//
//   byte    0                         1                         ...  stride - 1
//   bits 0  number 0                  number 1                  ...  number stride - 1
//        b  number stride             number stride + 1         ...
//        2b number 2 stride           ...
template <int n, int bits, int stride>
struct Plane {
  static constexpr int layers = 8 / bits;
  static constexpr int mask = (1 << bits) - 1;
  static constexpr int n_bytes = n / layers;
  static constexpr bool has_quads = stride % 4 == 0 || (stride == 1 && bits == 1);
  static_assert(n % (stride * layers) == 0);

  // numbers[i] |= number i << shift
  static constexpr void split(const std::uint8_t* bytes, std::uint8_t* numbers, int shift = 0) noexcept {
    for (int run = 0; run < n_bytes; run += stride) {
      for (int layer = 0; layer < layers; ++layer, numbers += stride) {
        for (int i = 0; i < stride; ++i) {
          const int number = bytes[run + i] >> (bits * layer) & mask;
          numbers[i] = static_cast<std::uint8_t>(numbers[i] | number << shift);
        }
      }
    }
  }

  // The reverse: number i = numbers[i] >> shift, as far as it fits.
  static constexpr void join(const std::uint8_t* numbers, std::uint8_t* bytes, int shift = 0) noexcept {
    for (int i = 0; i < n_bytes; ++i) bytes[i] = 0;
    for (int run = 0; run < n_bytes; run += stride) {
      for (int layer = 0; layer < layers; ++layer, numbers += stride) {
        for (int i = 0; i < stride; ++i) {
          const int number = numbers[i] >> shift & mask;
          bytes[run + i] = static_cast<std::uint8_t>(bytes[run + i] | number << (bits * layer));
        }
      }
    }
  }

  // Numbers i to i + 3, i a multiple of 4, as the lowest bits of a word's bytes.
  static std::uint32_t quad(const std::uint8_t* bytes, int i) noexcept {
    static_assert(has_quads);
    if constexpr (stride % 4 == 0) {
      std::uint32_t word;
      std::memcpy(&word, bytes + i / (stride * layers) * stride + i % stride, sizeof word);
      return word >> (bits * (i / stride % layers)) & (mask * 0x01010101u);
    } else {  // four bits side by side: the product has each of them in a byte of its own
      return (bytes[i / 8] >> i % 8 & 15u) * 0x00204081u & 0x01010101u;
    }
  }
};

// Eight scales and eight mins of 6 bits in the 12 bytes of Q4_K and Q5_K, i = 0..3:
//   byte i      scale[i]             | high bits of scale[i + 4] << 6
//   byte i + 4  min[i]               | high bits of min[i + 4] << 6
//   byte i + 8  scale[i + 4] & 15    | (min[i + 4] & 15) << 4
inline void split_scales_mins(const std::uint8_t* bytes, std::uint8_t* scale, std::uint8_t* min) noexcept {
  for (int i = 0; i < 4; ++i) {
    scale[i] = bytes[i] & 63;
    min[i] = bytes[i + 4] & 63;
    scale[i + 4] = static_cast<std::uint8_t>((bytes[i + 8] & 15) | bytes[i] >> 6 << 4);
    min[i + 4] = static_cast<std::uint8_t>(bytes[i + 8] >> 4 | bytes[i + 4] >> 6 << 4);
  }
}
inline void join_scales_mins(const std::uint8_t* scale, const std::uint8_t* min,
                             std::uint8_t* bytes) noexcept {
  for (int i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>((scale[i] & 63) | scale[i + 4] >> 4 << 6);
    bytes[i + 4] = static_cast<std::uint8_t>((min[i] & 63) | min[i + 4] >> 4 << 6);
    bytes[i + 8] = static_cast<std::uint8_t>((scale[i + 4] & 15) | min[i + 4] << 4);
  }
}

}  // namespace nibble::inline v0
