// Uniformly random codes under scales that give the wanted deviation.
// See random_weights.hpp.
#include "random_weights.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "nibble/quant/half.hpp"

namespace cli {

namespace {

// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  std::uint64_t state_;
};

// Scale factors that every layout's bits can hold, and their root mean square.
constexpr std::uint8_t least_scale = 8, scale_mask = 7;
constexpr double mean_scale = 11.7;

struct Levels {
  double mean = 0, deviation = 0;
};

// Of the levels of uniformly random codes.
Levels measure(const nibble::CodeLayout& codes) {
  const int n = 1 << codes.code_bits;
  double sum = 0, squares = 0;
  for (int code = 0; code < n; ++code) {
    const int level = codes.levels != nullptr ? codes.levels[code]
                      : codes.code_bits == 8  ? static_cast<std::int8_t>(code)
                                              : code - codes.zero;
    sum += level;
    squares += level * level;
  }
  const double mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean)};
}

// All of a block but its codes and group scales. Mins cancel the levels' mean.
nibble::BlockParts make_frame(const nibble::CodeLayout& codes, double deviation) {
  const Levels levels = measure(codes);
  const double d = deviation / levels.deviation / (codes.scale_bits == 0 ? 1 : mean_scale);
  nibble::BlockParts parts{};
  parts.d = codes.d_is_e8m0 ? static_cast<std::uint16_t>(std::lround(std::log2(d)) + 128)
                            : nibble::f32_to_f16(static_cast<float>(d));
  const double m = codes.min_bits != 0 ? d * levels.mean : -d * levels.mean;
  if (codes.has_m) parts.m = nibble::f32_to_f16(static_cast<float>(m));
  return parts;
}

void randomise(const nibble::Format& format, Random& random, nibble::BlockParts& parts) {
  const nibble::CodeLayout& codes = format.codes;
  const auto mask = static_cast<std::uint8_t>((1u << codes.code_bits) - 1);
  for (std::size_t i = 0; i < format.block_size; i += 8) {
    std::uint64_t bits = random();
    for (std::size_t j = i; j < i + 8; ++j, bits >>= 8)
      parts.code[j] = static_cast<std::uint8_t>(bits) & mask;
  }
  std::uint64_t bits = random();
  for (std::size_t g = 0; g < format.block_size / codes.group; ++g, bits >>= 3) {
    const auto scale = static_cast<std::uint8_t>(least_scale + (bits & scale_mask));
    if (codes.scale_bits != 0) parts.scale[g] = static_cast<std::uint8_t>(scale + codes.scale_zero);
    if (codes.min_bits != 0) parts.min[g] = scale;
  }
}

void fill_floats(const nibble::Format& format, float deviation, Random& random, std::span<std::byte> out) {
  std::vector<float> values(out.size() / format.block_bytes * format.block_size);
  const double range = 2 * std::sqrt(3.0) * deviation;
  for (float& value : values) {
    value = static_cast<float>(range * (static_cast<double>(random() >> 11) * 0x1p-53 - 0.5));
  }
  format.encode(values.data(), out.data(), values.size(), nullptr);
}

}  // namespace

void fill_random(const nibble::Format& format, float deviation, std::uint64_t seed,
                 std::span<std::byte> out) {
  Random random(seed);
  if (format.join == nullptr) return fill_floats(format, deviation, random, out);
  nibble::BlockParts parts = make_frame(format.codes, deviation);
  for (std::size_t at = 0; at < out.size(); at += format.block_bytes) {
    randomise(format, random, parts);
    format.join(parts, out.data() + at);
  }
}

}  // namespace cli
