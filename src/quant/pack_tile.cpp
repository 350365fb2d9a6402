// Packing of whole row tiles, compiled for each format: codes go from plane to plane by words, four rows at
// once. Gives the bytes that packed.cpp gives block by block, at the speed of memory.
#include "src/quant/pack_tile.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "nibble/quant/bits.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {
namespace {

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

template <class F>
inline constexpr std::size_t n_words = F::block_size* F::codes.code_bits / plane_size;  // of a block's codes

// A plane's words of 32 elements of one row, from `begin` on.
template <class Plane, int begin>
[[gnu::always_inline]] inline void read_plane(const std::uint8_t* bytes, std::uint32_t* words) noexcept {
  constexpr int bits = 8 / Plane::layers;
  for (int v = 0; v < bits; ++v) {
    words[v] = 0;
    for (int f = 0; f < Plane::layers; ++f) {
      words[v] |= Plane::quad(bytes, begin + 4 * (v + bits * f)) << (bits * f);
    }
  }
}

// A block's words, in the order of the packed vectors. Straight from the file: bytes of a block that was just
// copied could not be read at other offsets at once.
template <class F>
[[gnu::always_inline]] inline void read_codes(const std::byte* block, std::uint32_t* words) noexcept {
  using Block = typename F::Block;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(block);
  const auto read_32 = [&]<int begin>(std::integral_constant<int, begin>) {
    std::uint32_t* to = words + begin / plane_size * F::codes.code_bits;
    read_plane<typename F::Codes, begin>(bytes + offsetof(Block, q), to);
    if constexpr (HasHigh<F>) {
      read_plane<typename F::High, begin>(bytes + offsetof(Block, high), to + low_bits(F::codes.code_bits));
    }
  };
  [&]<int... i>(std::integer_sequence<int, i...>) {
    (read_32(std::integral_constant<int, i* int{plane_size}>()), ...);
  }
  (std::make_integer_sequence<int, F::block_size / plane_size>());
}

using Vector [[gnu::vector_size(16)]] = std::uint32_t;

inline Vector load(const std::uint32_t* words) noexcept {
  Vector vector;
  std::memcpy(&vector, words, sizeof vector);
  return vector;
}

// Four rows' words, turned: a vector has one of each, and the next lies `step` bytes on.
template <std::size_t n>
void put_codes(const std::uint32_t (&words)[4][n], std::byte* vectors, std::size_t step) noexcept {
  constexpr std::size_t in_fours = n / 4 * 4;
  for (std::size_t v = 0; v < in_fours; v += 4, vectors += 4 * step) {
    const Vector a = load(words[0] + v), b = load(words[1] + v), c = load(words[2] + v),
                 d = load(words[3] + v);
    const Vector ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const Vector turned[] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                             __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(vectors + i * step, turned + i, sizeof turned[i]);
  }
  for (std::size_t v = in_fours; v < n; ++v, vectors += step) {
    for (std::size_t r = 0; r < 4; ++r) std::memcpy(vectors + 4 * r, words[r] + v, 4);
  }
}

// Scales, mins, d and m of all rows; `at` is the first row's place.
template <class F>
void put_factors(const std::byte* file_rows, std::size_t row_size, const Place& at,
                 std::byte* packed) noexcept {
  constexpr CodeLayout codes = F::codes;
  constexpr std::size_t groups = codes.scale_bits != 0 ? F::block_size / codes.group : 0;
  constexpr bool shared = codes.scale_bits + codes.min_bits <= 8;  // scale and min, in one byte
  constexpr std::size_t d_bytes = codes.d_is_e8m0 ? 1 : 2;
  const std::size_t rows = at.layout.rows;
  std::byte *scales = packed + at.scales(), *mins = packed + at.mins(), *d = packed + at.d(),
            *m = packed + at.m();
  for (std::size_t row = 0; row < rows; ++row) {
    typename F::Block block;
    std::memcpy(&block, file_rows + row * row_size, sizeof block);
    BlockParts parts;
    F::split(block, parts);  // its codes are not used, and so not even computed
    for (std::size_t g = 0; g < groups; ++g) {
      const int min = shared ? parts.min[g] << codes.scale_bits : 0;
      scales[g * rows + row] = static_cast<std::byte>(parts.scale[g] | min);
      if constexpr (!shared && codes.min_bits != 0)
        mins[g * rows + row] = static_cast<std::byte>(parts.min[g]);
    }
    std::memcpy(d + row * d_bytes, &parts.d, d_bytes);
    if constexpr (codes.has_m) std::memcpy(m + 2 * row, &parts.m, 2);
  }
}

// The rows of the next tile are asked for meanwhile: so many short streams are not foreseen by the hardware.
template <class F>
void pack_tile(const PackedLayout& layout, const std::byte* file_rows, std::size_t cols,
               std::byte* packed) noexcept {
  constexpr std::size_t line = 64, block_bytes = sizeof(typename F::Block);
  const std::size_t n = packed_blocks(layout, cols), row_size = n * block_bytes;
  std::size_t ahead = layout.rows * row_size;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t in_tile = i % layout.tile_blocks, first = i - in_tile;
    const Place at = {layout, 0, in_tile, std::min<std::size_t>(layout.tile_blocks, n - first),
                      first * layout.block_bytes()};
    const std::byte* column = file_rows + i * block_bytes;
    std::byte* vectors = packed + at.codes();
    for (std::size_t row = 0; row < layout.rows; row += 4, vectors += sizeof(Vector)) {
      std::uint32_t words[4][n_words<F>];
      for (std::size_t r = 0; r < 4; ++r) read_codes<F>(column + (row + r) * row_size, words[r]);
      put_codes(words, vectors, 4 * layout.rows);
    }
    put_factors<F>(column, row_size, at, packed);
    for (const std::size_t end = (n + i + 1) * layout.rows * block_bytes; ahead < end; ahead += line)
      __builtin_prefetch(file_rows + ahead);
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
