// What a block format is: how its header describes itself, and how the rest of the library sees it.
// Between core and the files: tensors carry a Dtype, this turns it into sizes, decoders and encoders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "nibble/core/dtype.hpp"

namespace nibble::inline v0 {

// The packed families: what a CPU tier or a GPU writes kernels for. A format names the one it packs into.
enum class Family : std::uint8_t {
  codes4,       // 4-bit codes, affine or through a 16-entry table
  codes4_high,  // 4-bit codes plus planes of 1 or 2 high bits
  codes2,       // 2-bit codes, or 2-bit codes plus a plane of 1 high bit
  codes8,       // 8-bit codes
  float16,      // F16 and BF16
  float32,
};

// How a block format splits into codes, scales and mins; the formula every packed kernel computes:
//   scale(g) = d * (has scales ? scale[g] - scale_zero : 1)
//   min(g)   = has mins ? -m * min[g] : has_m ? +m : 0
//   value(i) = scale(g) * level(code[i]) + min(g),   g = i / group
//   level(c) = levels ? levels[c] : c - zero
struct CodeLayout {
  std::uint16_t group = 0;              // elements that share a scale; 0: the format has no codes (floats)
  std::uint8_t code_bits = 0;           // 2, 3, 4, 5, 6 or 8 (8: two's complement, zero = 0)
  std::uint8_t zero = 0;                // the code of level 0 where `levels` is null
  const std::int8_t* levels = nullptr;  // 16 entries
  bool d_is_e8m0 = false;               // d is the exponent byte of 2^(d-128); else an IEEE half
  std::uint8_t scale_bits = 0;          // of scale[g]: 0 none, 4, 6, or 8 (two's complement)
  std::uint8_t scale_zero = 0;
  bool has_m = false;         // a second half per block
  std::uint8_t min_bits = 0;  // of min[g]: 0 none, 4 or 6
};

// One block taken apart, exactly; unused members are zero.
struct BlockParts {
  std::uint8_t code[256];
  std::uint8_t scale[16];
  std::uint8_t min[16];
  std::uint16_t d;
  std::uint16_t m;
};

// A block format as data, made from its header by formats.hpp. Pointers are never null except split/join of
// floats.
struct Format {
  Dtype dtype;
  std::string_view name;     // as the specification spells it: "Q4_K"
  std::uint32_t block_size;  // elements
  std::uint32_t block_bytes;
  Family family;
  CodeLayout codes;
  // `n` elements (a multiple of block_size) from consecutive blocks to float, exactly as the formula rounds.
  void (*decode)(const std::byte* blocks, float* out, std::size_t n);
  // The reverse, as close as the format allows; `importance` (n finite weights >= 0, or null) tells which
  // errors count. Finite stays finite; formats of codes take NaN for 0 and infinity for a large number.
  void (*encode)(const float* in, std::byte* blocks, std::size_t n, const float* importance);
  // One block to its parts and back, bit for bit; null for float formats.
  void (*split)(const std::byte* block, BlockParts& parts);
  void (*join)(const BlockParts& parts, std::byte* block);
};

// The format with this GGUF type number, or nothing: each format header specialises it for its own number,
// with a struct of static members like Q4_0: name, family, block_size, codes, Block, decode, encode, and for
// codes split, join and, where codes stand for the entries of a table, `levels`. A format whose blocks keep
// their codes in planes names them `Codes`, of a member q, and `High`, of a member high (as Q6_K does), and
// is packed by words then.
template <std::uint32_t number>
struct FormatAt {
  using type = void;
};

// A format whose codes stand for entries of its table, which is named `levels`.
template <class Coded>
concept HasLevels = requires {
  Coded::levels;
};

}  // namespace nibble::inline v0
