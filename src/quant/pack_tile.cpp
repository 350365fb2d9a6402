// Packing of whole row tiles, compiled for each format: codes go from plane to plane by words.
// Gives the bytes that packed.cpp gives block by block, ten times as fast; bound by memory.
#include "src/quant/pack_tile.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "nibble/quant/bits.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {
namespace {

constexpr std::size_t max_rows = 32;  // of a tile

// The planes that codes of so many bits are packed into: a low one and, of the bits left, a high one.
constexpr int low_bits(int code_bits) { return code_bits == 8 ? 8 : code_bits >= 4 ? 4 : 2; }
template <class Plane, int bits>
concept PlaneOf = Plane::has_quads && 8 / Plane::layers == bits;

// A block that keeps its codes in such planes, `Codes` in its member q and `High` in its member high.
template <class F>
concept HasHigh = PlaneOf<typename F::High, F::codes.code_bits - low_bits(F::codes.code_bits)>;
template <class F>
concept HasPlanes = PlaneOf<typename F::Codes, low_bits(F::codes.code_bits)> &&
    (low_bits(F::codes.code_bits) == F::codes.code_bits || HasHigh<F>);

// Of 32 elements from `begin` on: one row's words of their plane, `step` bytes apart.
template <class Plane, int begin>
[[gnu::always_inline]] inline void put_words(const std::uint8_t* bytes, std::byte* vectors,
                                             std::size_t step) noexcept {
  constexpr int bits = 8 / Plane::layers;
  for (int v = 0; v < bits; ++v) {
    std::uint32_t word = 0;
    for (int f = 0; f < Plane::layers; ++f) {
      word |= Plane::quad(bytes, begin + 4 * (v + bits * f)) << (bits * f);
    }
    std::memcpy(vectors + static_cast<std::size_t>(v) * step, &word, sizeof word);
  }
}

template <class F, int begin>
[[gnu::always_inline]] inline void put_codes(const typename F::Block& block, std::byte* vectors,
                                             std::size_t step) noexcept {
  vectors += begin / plane_size * F::codes.code_bits * step;
  put_words<typename F::Codes, begin>(block.q, vectors, step);
  if constexpr (HasHigh<F>)
    put_words<typename F::High, begin>(block.high, vectors + low_bits(F::codes.code_bits) * step, step);
}

template <class F>
void put_block(const typename F::Block& block, const Place& at, std::byte* packed) noexcept {
  constexpr CodeLayout codes = F::codes;
  const std::size_t rows = at.layout.rows;
  [&]<int... chunk>(std::integer_sequence<int, chunk...>) {
    (put_codes<F, chunk * plane_size>(block, packed + at.codes(), 4 * rows), ...);
  }
  (std::make_integer_sequence<int, F::block_size / plane_size>());
  BlockParts parts;
  F::split(block, parts);  // its codes are not used, and so not even computed
  for (std::size_t g = 0; codes.scale_bits != 0 && g < F::block_size / codes.group; ++g) {
    constexpr bool shared = codes.scale_bits + codes.min_bits <= 8;
    const int min = shared ? parts.min[g] << codes.scale_bits : 0;
    packed[at.scales() + g * rows] = static_cast<std::byte>(parts.scale[g] | min);
    if constexpr (!shared && codes.min_bits != 0)
      packed[at.mins() + g * rows] = static_cast<std::byte>(parts.min[g]);
  }
  std::memcpy(packed + at.d(), &parts.d, codes.d_is_e8m0 ? 1 : 2);
  if constexpr (codes.has_m) std::memcpy(packed + at.m(), &parts.m, 2);
}

template <class F>
void pack_tile(const PackedLayout& layout, const std::byte* file_rows, std::size_t cols,
               std::byte* packed) noexcept {
  typename F::Block blocks[max_rows];
  constexpr std::size_t block_bytes = sizeof blocks[0];
  const std::size_t n = packed_blocks(layout, cols);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t in_tile = i % layout.tile_blocks, first = i - in_tile;
    // All rows' blocks before the first is read: what was just copied cannot be read at another offset yet.
    for (std::size_t row = 0; row < layout.rows; ++row)
      std::memcpy(blocks + row, file_rows + (row * n + i) * block_bytes, block_bytes);
    for (std::size_t row = 0; row < layout.rows; ++row) {
      put_block<F>(blocks[row],
                   {layout, row, in_tile, std::min<std::size_t>(layout.tile_blocks, n - first),
                    first * layout.block_bytes()},
                   packed);
    }
  }
}

// A line of each row at a time: all of what is written for it stays in the nearest cache.
void pack_floats(const PackedLayout& layout, const std::byte* file_rows, std::size_t cols,
                 std::byte* packed) noexcept {
  constexpr std::size_t line = 64, word = 4;
  const std::size_t rows = layout.rows, bytes = cols * word / layout.block_size, whole = bytes / word * word;
  for (std::size_t from = 0; from < bytes; from += line) {
    for (std::size_t row = 0; row < rows; ++row) {
      const std::byte* in = file_rows + row * bytes;
      std::byte* out = packed + word * row;
      for (std::size_t at = from; at < std::min(from + line, whole); at += word)
        std::memcpy(out + at * rows, in + at, word);
      if (from + line >= bytes) std::memcpy(out + whole * rows, in + whole, bytes - whole);
    }
  }
}

template <std::uint32_t number = 0>
PackTile find(Dtype dtype) noexcept {
  if constexpr (number < 256) {
    using F = typename FormatAt<number>::type;
    if constexpr (HasPlanes<F>) {
      if (dtype == Dtype{number}) return pack_tile<F>;
    }
    return find<number + 1>(dtype);
  }
  return nullptr;
}

}  // namespace

PackTile find_pack_tile(const Format& format) noexcept {
  return format.split == nullptr ? pack_floats : find(format.dtype);
}

}  // namespace nibble::inline v0
