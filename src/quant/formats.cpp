// The table of block formats, made at compile time from the headers that formats.hpp includes.
// Between those headers, which know one block, and the rest of the library, which sees runs of bytes.
#include "nibble/quant/formats.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "nibble/quant/coded.hpp"

namespace nibble::inline v0 {
namespace {

// Numbers below this are asked for a format.
constexpr std::uint32_t number_limit = 256;

template <class F>
void decode_blocks(const std::byte* bytes, float* out, std::size_t n) {
  typename F::Block block;
  for (; n >= F::block_size; n -= F::block_size, bytes += sizeof block, out += F::block_size) {
    std::memcpy(&block, bytes, sizeof block);
    F::decode(block, out);
  }
}

// What the encoders of codes rely on: x finite, its squares too (no format with codes but MXFP4 reaches
// 2^40), and weights near 1 of which none is 0.
template <class F>
void encode_blocks(const float* in, std::byte* bytes, std::size_t n, const float* importance) {
  constexpr bool coded = F::codes.group != 0;
  constexpr float limit = coded && !F::codes.d_is_e8m0 ? 0x1p40f : 0x1.fffffep127f;
  typename F::Block block;
  float x[F::block_size], w[F::block_size];
  for (std::size_t begin = 0; begin < n; begin += F::block_size, bytes += sizeof block) {
    float mean = 0;
    for (unsigned i = 0; i < F::block_size; ++i) {
      x[i] = in[begin + i];
      if (coded) x[i] = std::isnan(x[i]) ? 0 : std::clamp(x[i], -limit, limit);
      w[i] = importance ? importance[begin + i] : 1;
      mean += w[i] / F::block_size;
    }
    for (float& weight : w) weight = mean > 0 ? weight / mean + 1e-4f : 1;
    F::encode(x, w, block);
    std::memcpy(bytes, &block, sizeof block);
  }
}

template <class F>
void split_bytes(const std::byte* bytes, BlockParts& parts) {
  typename F::Block block;
  std::memcpy(&block, bytes, sizeof block);
  F::split(block, parts);
}

template <class F>
void join_bytes(const BlockParts& parts, std::byte* bytes) {
  typename F::Block block;
  F::join(parts, block);
  std::memcpy(bytes, &block, sizeof block);
}

template <class F>
constexpr Format make_format(std::uint32_t number) {
  if constexpr (!HasLevels<F>) static_assert(F::codes.levels == nullptr, "the table is named `levels`");
  Format format{Dtype{number}, F::name,  F::block_size,    sizeof(typename F::Block),
                F::family,     F::codes, decode_blocks<F>, encode_blocks<F>,
                nullptr,       nullptr};
  if constexpr (F::codes.group != 0) {
    format.split = split_bytes<F>;
    format.join = join_bytes<F>;
  }
  return format;
}

template <std::uint32_t... numbers>
constexpr auto make_table(std::integer_sequence<std::uint32_t, numbers...>) {
  constexpr std::size_t count = (0 + ... + (std::is_void_v<typename FormatAt<numbers>::type> ? 0 : 1));
  std::array<Format, count> table{};
  std::size_t next = 0;
  const auto add = [&]<std::uint32_t number>() {
    using F = typename FormatAt<number>::type;
    if constexpr (!std::is_void_v<F>) table[next++] = make_format<F>(number);
  };
  (add.template operator()<numbers>(), ...);
  return table;
}

constexpr auto table = make_table(std::make_integer_sequence<std::uint32_t, number_limit>{});

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::span<const Format> formats() noexcept { return table; }

const Format* find_format(Dtype dtype) noexcept {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Format& f) { return f.dtype == dtype; });
  return found == table.end() ? nullptr : &*found;
}

const Format* find_format(std::string_view name) noexcept {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  const auto found = std::find_if(table.begin(), table.end(), [&](const Format& f) {
    return std::equal(f.name.begin(), f.name.end(), name.begin(), name.end(), same);
  });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace nibble::inline v0
