// Rotary tables from their configuration: how many radians each pair turns from one position to the next.
// Last step of the model stage before the plan.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "nibble/model/plan.hpp"

// Values are rounded to float where transformers and the GGUF converters round, so that all agree on the last
// bit.
namespace nibble::inline v0 {

namespace {

// Dynamic NTK: the base that makes the slowest pair turn over `context` as little as over the original one.
double stretched_base(const RopeConfig& c) {
  if (c.scaling != RopeScaling::dynamic || !c.is_stretched()) return c.base;
  const double stretch = c.factor * c.context / c.original_context - (c.factor - 1);
  return c.base * std::pow(stretch, c.dim / (c.dim - 2.0));
}

// Positions that pair j takes for a radian: base^(2j / dim).
std::vector<float> wavelengths(const RopeConfig& c) {
  std::vector<float> lengths;
  for (std::uint32_t j = 0; j < c.dim / 2; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(c.dim);
    lengths.push_back(static_cast<float>(std::pow(stretched_base(c), exponent)));
  }
  return lengths;
}

// 1 for the fast pairs, `factor` for the slow ones, and a smooth change between.
float llama3_divisor(const RopeConfig& c, float frequency) {
  const double turns = c.original_context / (2 * std::numbers::pi / frequency);
  if (turns < c.low_frequency_factor) return static_cast<float>(c.factor);
  if (turns > c.high_frequency_factor) return 1;
  const double smooth = (turns - c.low_frequency_factor) / (c.high_frequency_factor - c.low_frequency_factor);
  return static_cast<float>(1 / ((1 - smooth) / c.factor + smooth));
}

// Yarn: 0 for pairs that turn more than fast_turns times in the original context, 1 for those that turn less
// than slow_turns times, a ramp between.
class YarnRamp {
 public:
  explicit YarnRamp(const RopeConfig& c) {
    const auto pair_of = [&](double turns) {
      return c.dim * std::log(c.original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(c.base));
    };
    low_ = pair_of(c.fast_turns), high_ = pair_of(c.slow_turns);
    if (c.whole_dims) low_ = std::floor(low_), high_ = std::ceil(high_);
    low_ = std::max(low_, 0.0), high_ = std::min(high_, c.dim - 1.0);
    if (low_ == high_) high_ += 0.001;
  }
  float operator()(std::size_t j) const {
    const float at = (static_cast<float>(j) - static_cast<float>(low_)) / static_cast<float>(high_ - low_);
    return std::clamp(at, 0.0f, 1.0f);
  }

 private:
  double low_, high_;
};

std::vector<float> yarn_frequencies(const RopeConfig& c, const std::vector<float>& lengths) {
  const YarnRamp ramp(c);
  std::vector<float> frequencies;
  for (std::size_t j = 0; j < lengths.size(); ++j) {
    const float keep = 1 - ramp(j);
    const float stretched = 1 / (static_cast<float>(c.factor) * lengths[j]);
    frequencies.push_back(stretched * (1 - keep) + 1 / lengths[j] * keep);
  }
  return frequencies;
}

Error bad_frequency(const RopeConfig& c, std::size_t j, const Tensor* divisors) {
  if (divisors == nullptr)
    return Error({.code = ErrorCode::out_of_range,
                  .source = "rope",
                  .field = "base " + std::to_string(c.base) + ", factor " + std::to_string(c.factor),
                  .found = "an angle that is not finite",
                  .allowed = "a base and a factor that give finite angles"});
  return Error({.code = ErrorCode::out_of_range,
                .source = divisors->source,
                .position = at_byte(divisors->offset),
                .field = divisors->name,
                .found = "not finite, 0 or below at " + std::to_string(j),
                .allowed = "finite numbers above 0"});
}

// What each frequency is divided by, where the scaling is of that kind.
std::vector<float> divisors_of(const RopeConfig& c, const std::vector<float>& lengths) {
  if (c.scaling == RopeScaling::longrope) {
    const std::vector<double>& given = c.is_stretched() ? c.long_divisors : c.short_divisors;
    return {given.begin(), given.end()};
  }
  std::vector<float> divisors(lengths.size(), 1.0f);
  if (c.scaling == RopeScaling::linear) std::ranges::fill(divisors, static_cast<float>(c.factor));
  if (c.scaling == RopeScaling::llama3)
    std::ranges::transform(lengths, divisors.begin(), [&](float l) { return llama3_divisor(c, 1.0f / l); });
  return divisors;
}

}  // namespace

RopeTable make_rope(const RopeConfig& c, RopePairs pairs, WeightId divisors, const Weights& weights) {
  const std::vector<float> lengths = wavelengths(c);
  const bool given = divisors != no_weight;
  RopeTable table{.pairs = pairs, .inverse_frequency = {}, .magnitude = static_cast<float>(c.magnitude)};
  std::vector<float>& frequencies = table.inverse_frequency;
  if (c.scaling == RopeScaling::yarn && !given) {
    frequencies = yarn_frequencies(c, lengths);
  } else {
    const std::vector<float> divide = given ? weights.vector(divisors) : divisors_of(c, lengths);
    if (divide.size() != lengths.size())
      throw Error({.code = ErrorCode::missing, .source = "rope", .field = "longrope's factors"});
    for (std::size_t j = 0; j < lengths.size(); ++j) {
      if (!(divide[j] > 0) || !std::isfinite(divide[j]))
        throw bad_frequency(c, j, given ? &weights[divisors].tensor : nullptr);
      frequencies.push_back(c.scaling == RopeScaling::longrope ? 1 / (divide[j] * lengths[j])
                                                               : 1 / lengths[j] / divide[j]);
    }
  }
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    if (!std::isfinite(frequencies[j]) || !std::isfinite(table.magnitude))
      throw bad_frequency(c, j, given ? &weights[divisors].tensor : nullptr);
  }
  return table;
}

}  // namespace nibble::inline v0
