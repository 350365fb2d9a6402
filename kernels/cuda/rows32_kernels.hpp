// Kernels over matrices packed 32 rows together, as nibble/quant/packed.hpp draws it: a lane is a row. They
// run every format, in float, from its formula alone; families with kernels of their own come before them.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/row_kernels.hpp"
#include "nibble/quant/formats.hpp"
#include "nibble/quant/packed.hpp"

namespace nibble::inline v0::cuda {

inline constexpr std::uint32_t rows32_rows = device::warp_size;

template <class F>
constexpr PackedLayout rows32_layout() {
  return packed_layout({.dtype = {},
                        .name = F::name,
                        .block_size = F::block_size,
                        .block_bytes = sizeof(typename F::Block),
                        .family = F::family,
                        .codes = F::codes,
                        .decode = nullptr,
                        .encode = nullptr,
                        .split = nullptr,
                        .join = nullptr},
                       rows32_rows);
}

// Elements [first, first + 32) of the lane's row of a row tile, each as F::decode rounds it; `first` is a
// multiple of 32. Elements beyond `cols` are 0.
template <class F>
NIBBLE_DEVICE void decode_floats(const std::byte* tile, std::uint32_t cols, std::uint32_t first,
                                 std::uint32_t lane, float (&out)[32]) {
  constexpr std::uint32_t in_word = rows32_layout<F>().block_size;
  const auto* words = reinterpret_cast<const std::uint32_t*>(tile) + first / in_word * rows32_rows + lane;
  NIBBLE_UNROLL
  for (std::uint32_t i = 0; i < 32; i += in_word) {
    const std::uint32_t word = first + i < cols ? words[i / in_word * rows32_rows] : 0;
    if constexpr (in_word == 1) {
      out[i] = device::float_of(word);
    } else if constexpr (F::name == F16::name) {
      out[i] = device::half_to_float(static_cast<std::uint16_t>(word));
      out[i + 1] = device::half_to_float(static_cast<std::uint16_t>(word >> 16));
    } else {
      out[i] = device::float_of(word << 16);
      out[i + 1] = device::float_of(word & 0xffff0000u);
    }
  }
}

// The sixteen levels of a format with a table, four to a word.
template <class F>
NIBBLE_DEVICE int table_level(std::uint32_t code) {
  constexpr auto word = [](int from) {
    std::uint32_t bytes = 0;
    for (int i = 0; i < 4; ++i)
      bytes |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(F::levels[from + i])) << (8 * i);
    return bytes;
  };
  constexpr std::uint32_t words[] = {word(0), word(4), word(8), word(12)};
  const std::uint32_t low = (code & 4) != 0 ? words[1] : words[0],
                      high = (code & 4) != 0 ? words[3] : words[2];
  return static_cast<std::int8_t>(((code & 8) != 0 ? high : low) >> (8 * (code & 3)));
}

template <class F>
NIBBLE_DEVICE void decode_codes(const std::byte* tile, std::uint32_t cols, std::uint32_t first,
                                std::uint32_t lane, float (&out)[32]) {
  constexpr PackedLayout layout = rows32_layout<F>();
  constexpr std::uint32_t bits = F::codes.code_bits, R = rows32_rows;
  constexpr std::uint32_t low = bits == 8 ? 8 : bits >= 4 ? 4 : 2, high = bits - low;
  const std::uint32_t n = cols / F::block_size, number = first / F::block_size, part = first % F::block_size;
  const std::uint32_t tile_first = number / layout.tile_blocks * layout.tile_blocks;
  const std::uint32_t block = number - tile_first;
  const std::uint32_t n_blocks = n - tile_first < layout.tile_blocks ? n - tile_first : layout.tile_blocks;
  const auto* at =
      reinterpret_cast<const std::uint8_t*>(tile) + std::size_t{tile_first} * layout.block_bytes();
  const auto section = [&](std::uint32_t bytes) {
    const std::uint8_t* mine = at + block * bytes;
    at += n_blocks * bytes;
    return mine;
  };
  const auto* words =
      reinterpret_cast<const std::uint32_t*>(section(layout.codes)) + part / 32 * bits * R + lane;
  const std::uint8_t* scales = section(layout.scales) + lane;
  const std::uint8_t* mins = section(layout.mins) + lane;
  const std::uint8_t *ds = section(layout.d), *ms = section(layout.m);
  const auto half = [lane](const std::uint8_t* p) {
    return device::half_to_float(reinterpret_cast<const std::uint16_t*>(p)[lane]);
  };
  float d, m = 0.0f, scale = 0.0f, min = 0.0f;
  if constexpr (F::codes.d_is_e8m0) {
    const std::uint32_t e = ds[lane];
    d = device::float_of(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  } else {
    d = half(ds);
  }
  if constexpr (F::codes.has_m) m = half(ms);

  const auto start_group = [&](std::uint32_t g) {
    std::uint32_t packed = 0;
    int factor = 1;
    if constexpr (F::codes.scale_bits != 0) packed = scales[g * R];
    if constexpr (F::codes.scale_bits == 8)
      factor = static_cast<std::int8_t>(packed);
    else if constexpr (F::codes.scale_bits != 0)
      factor = static_cast<int>(packed & ((1u << F::codes.scale_bits) - 1)) - F::codes.scale_zero;
    scale = d * static_cast<float>(factor);
    min = m;
    if constexpr (F::codes.min_bits != 0) {
      const std::uint32_t of_group = layout.mins != 0 ? mins[g * R] : packed >> F::codes.scale_bits;
      min = -(m * static_cast<float>(of_group));
    }
  };

  std::uint32_t word[bits];
  NIBBLE_UNROLL
  for (std::uint32_t v = 0; v < bits; ++v) word[v] = words[v * R];
  NIBBLE_UNROLL
  for (std::uint32_t e = 0; e < 32; ++e) {
    if (e % F::codes.group == 0) start_group((part + e) / F::codes.group);
    const std::uint32_t quad = e / 4, byte = 8 * (e % 4);
    std::uint32_t code = word[quad % low] >> (byte + low * (quad / low)) & ((1u << low) - 1);
    if constexpr (high != 0)
      code |= (word[low + quad % high] >> (byte + high * (quad / high)) & ((1u << high) - 1)) << low;
    int level;
    if constexpr (HasLevels<F>)
      level = table_level<F>(code);
    else if constexpr (bits == 8)
      level = static_cast<std::int8_t>(code);
    else
      level = static_cast<int>(code) - F::codes.zero;
    const float product = scale * static_cast<float>(level);
    out[e] = F::codes.has_m ? product + min : product;
  }
}

template <class F>
NIBBLE_DEVICE void decode_32(const std::byte* tile, std::uint32_t cols, std::uint32_t first,
                             std::uint32_t lane, float (&out)[32]) {
  if constexpr (F::codes.group == 0)
    decode_floats<F>(tile, cols, first, lane, out);
  else
    decode_codes<F>(tile, cols, first, lane, out);
}

// A thread decodes 32 columns. Blocks (n_rows, stretches of 32 * threads columns).
template <class F>
struct LookUpRows32 {
  static constexpr std::uint32_t threads = 64;
  LookUp work;

  NIBBLE_DEVICE void operator()() const {
    const DeviceMatrix& matrix = work.matrix;
    const std::uint32_t i = device::block_x();
    const std::uint32_t first = (device::block_y() * threads + device::thread()) * 32;
    if (first >= matrix.cols) return;
    const auto row = static_cast<std::uint32_t>(work.tokens[i]);
    const std::byte* tile =
        matrix.bytes + row / rows32_rows * packed_row_tile_bytes(rows32_layout<F>(), matrix.cols);
    float values[32];
    decode_32<F>(tile, matrix.cols, first, row % rows32_rows, values);
    float* out = work.out + std::size_t{i} * work.out_stride + first;
    NIBBLE_UNROLL
    for (std::uint32_t e = 0; e < 32; ++e)
      if (first + e < matrix.cols) out[e] = values[e] * work.scale;
  }
};

// A block multiplies a row tile by up to `tokens` inputs: warp w takes columns [256 w, 256 w + 256), then
// 2048 further on, each output one chain of FMAs; the warps' sums are added in order. Of experts, one input a
// block. Blocks: row tiles, and of each all groups of inputs. Bound by decoding, in float.
template <class F>
struct MultiplyRows32 {
  static constexpr std::uint32_t threads = 256, tokens = 4, columns = 256;
  static constexpr std::uint32_t warps = threads / device::warp_size;
  static constexpr std::uint32_t shared_bytes =
      (warps * columns + threads) * tokens * sizeof(float);  // inputs (warps, columns, tokens), then sums
  Multiply work;
  std::uint32_t groups;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t group = device::block_x() % groups, tile = device::block_x() / groups;
    const std::uint32_t warp = device::thread() / device::warp_size;
    const float* in[tokens];
    const std::uint32_t n = inputs(group, in);
    float sum[tokens] = {};
    multiply(tile_bytes(group, tile), in, n, sum);
    float* sums = reinterpret_cast<float*>(device::shared()) + warps * columns * tokens;
    NIBBLE_UNROLL
    for (std::uint32_t t = 0; t < tokens; ++t)
      sums[(warp * tokens + t) * rows32_rows + device::thread() % rows32_rows] = sum[t];
    device::sync_block();
    const std::uint32_t t = device::thread() / rows32_rows;
    const std::uint32_t row = tile * rows32_rows + device::thread() % rows32_rows;
    if (t >= n || row >= work.matrix.rows) return;
    float total = sums[device::thread()];
    for (std::uint32_t w = 1; w < warps; ++w)
      total = total + sums[w * tokens * rows32_rows + device::thread()];
    work.store(work.n_used == 0 ? group * tokens + t : group, row, total);
  }

  // Where the group's inputs begin, and how many there are.
  NIBBLE_DEVICE std::uint32_t inputs(std::uint32_t group, const float* (&in)[tokens]) const {
    const std::uint32_t first = work.n_used == 0 ? group * tokens : group;
    const std::uint32_t left = work.n_used == 0 ? work.n_rows - first : 1, n = left < tokens ? left : tokens;
    NIBBLE_UNROLL
    for (std::uint32_t t = 0; t < tokens; ++t) in[t] = work.input(t < n ? first + t : first);
    return n;
  }
  NIBBLE_DEVICE const std::byte* tile_bytes(std::uint32_t group, std::uint32_t tile) const {
    const std::byte* bytes = work.matrix.bytes;
    if (work.n_used != 0) bytes += work.expert(group) * work.matrix.expert_bytes;
    return bytes + tile * packed_row_tile_bytes(rows32_layout<F>(), work.matrix.cols);
  }

  NIBBLE_DEVICE void multiply(const std::byte* tile, const float* const (&in)[tokens], std::uint32_t n,
                              float (&sum)[tokens]) const {
    const std::uint32_t lane = device::thread() % device::warp_size, cols = work.matrix.cols;
    const std::uint32_t warp = device::thread() / device::warp_size;
    float* staged = reinterpret_cast<float*>(device::shared()) + warp * columns * tokens;
    for (std::uint32_t first = warp * columns; first < cols; first += warps * columns) {
      device::sync_warp();
      for (std::uint32_t k = lane; k < columns; k += device::warp_size) {
        NIBBLE_UNROLL
        for (std::uint32_t t = 0; t < tokens; ++t)
          staged[k * tokens + t] = t < n && first + k < cols ? in[t][first + k] : 0.0f;
      }
      device::sync_warp();
      for (std::uint32_t k = 0; k < columns && first + k < cols; k += 32) {
        float weight[32];
        decode_32<F>(tile, cols, first + k, lane, weight);
        NIBBLE_UNROLL
        for (std::uint32_t e = 0; e < 32; ++e) {
          const device::Words4 x = device::load_words4(staged + (k + e) * tokens);
          sum[0] = device::fma(weight[e], device::float_of(x.x), sum[0]);
          sum[1] = device::fma(weight[e], device::float_of(x.y), sum[1]);
          sum[2] = device::fma(weight[e], device::float_of(x.z), sum[2]);
          sum[3] = device::fma(weight[e], device::float_of(x.w), sum[3]);
        }
      }
    }
  }
};

// The formats of formats.hpp, by number.
template <std::uint32_t... numbers>
constexpr auto find_format_numbers(std::integer_sequence<std::uint32_t, numbers...>) {
  std::array<std::uint32_t, (0 + ... + !std::is_void_v<typename FormatAt<numbers>::type>)> found{};
  std::size_t n = 0;
  ((std::is_void_v<typename FormatAt<numbers>::type> ? void() : void(found[n++] = numbers)), ...);
  return found;
}
inline constexpr auto format_numbers = find_format_numbers(std::make_integer_sequence<std::uint32_t, 256>());
using EachFormat = std::make_index_sequence<format_numbers.size()>;

template <std::size_t... i>
auto rows32_kernels(std::index_sequence<i...>)
    -> KernelList<LookUpRows32<typename FormatAt<format_numbers[i]>::type>...,
                  MultiplyRows32<typename FormatAt<format_numbers[i]>::type>...>;
using Rows32Kernels = decltype(rows32_kernels(EachFormat()));

}  // namespace nibble::inline v0::cuda
