// Encoding: never further off than the reference encoders and plain rounding, and sound on odd input.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "quant/blocks.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace quant_test;

namespace {

std::vector<float> round_trip(const Format& format, const std::vector<float>& x,
                              const float* importance = nullptr) {
  std::vector<std::byte> blocks(row_bytes(format, x.size()));
  format.encode(x.data(), blocks.data(), x.size(), importance);
  std::vector<float> decoded(x.size());
  format.decode(blocks.data(), decoded.data(), decoded.size());
  return decoded;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b,
                     const std::vector<float>* w = nullptr) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (w ? (*w)[i] : 1.0) * (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  }
  return sum;
}

// Each group rounded to the nearest of equally spaced levels between its extremes, or around zero, with
// scales and mins that cost nothing: no format can store its scales better.
std::vector<float> plain_rounding(const Format& format, const std::vector<float>& x) {
  const CodeLayout& codes = format.codes;
  std::vector<float> rounded(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += codes.group) {
    const auto [low, high] = std::minmax_element(x.begin() + std::ptrdiff_t(begin),
                                                 x.begin() + std::ptrdiff_t(begin + codes.group));
    const float largest = std::max(std::fabs(*low), std::fabs(*high));
    const float top = float((1 << codes.code_bits) - 1);
    const float offset = codes.has_m ? *low : 0;
    const float scale = codes.has_m ? (*high - *low) / top : 2 * largest / (top - 1);
    for (std::size_t i = begin; i < begin + codes.group; ++i) {
      rounded[i] = scale * std::nearbyint((x[i] - offset) / scale) + offset;
    }
  }
  return rounded;
}

std::vector<float> gaussian(std::size_t n) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> x(n);
  for (float& value : x) value = normal(random);
  return x;
}

std::vector<float> heavy_tailed(std::size_t n) {
  std::mt19937 random(4);
  std::student_t_distribution<float> student(4);
  std::vector<float> x(n);
  for (float& value : x) value = 0.02f * student(random);
  return x;
}

bool all_finite(const std::vector<float>& x) {
  return std::all_of(x.begin(), x.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

TEST_CASE("no encoder is worse than the reference encoder") {
  const auto reference = nlohmann::json::parse(read_file(fixture("encode_reference.json")));
  const std::vector<float> x = read_floats(fixture(reference["input"]));
  const std::vector<float> zeros(x.size());
  REQUIRE(x.size() == 64 * 256);
  for (const auto& [name, expected] : reference["formats"].items()) {
    CAPTURE(name);
    const Format* format = find_format(name);
    REQUIRE(format != nullptr);
    const double nmse = squared_error(round_trip(*format, x), x) / squared_error(zeros, x);
    CHECK(nmse <= expected["nmse"].get<double>() * (1 + 1e-6));  // F16 and BF16: the same numbers
  }
}

TEST_CASE("no encoder of whole levels is worse than rounding with free scales") {
  for (const auto& x : {gaussian(256 * 64), heavy_tailed(256 * 64)}) {
    for (const Format& format : formats()) {
      if (format.split == nullptr || format.codes.levels != nullptr) continue;
      CAPTURE(format.name);
      CHECK(squared_error(round_trip(format, x), x) < squared_error(plain_rounding(format, x), x));
    }
  }
}

TEST_CASE("levels that follow the bell curve beat equal ones on it") {
  const std::vector<float> x = gaussian(256 * 64);
  const double equal = squared_error(round_trip(*find_format("Q4_0"), x), x);
  CHECK(squared_error(round_trip(*find_format("IQ4_NL"), x), x) < equal);
  CHECK(squared_error(round_trip(*find_format("IQ4_XS"), x), x) < equal);
}

TEST_CASE("what is important is kept better") {
  const std::vector<float> x = gaussian(256 * 64);
  std::vector<float> importance(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) importance[i] = i % 7 == 0 ? 50.0f : 0.5f;
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    CHECK(squared_error(round_trip(format, x, importance.data()), x, &importance) <
          squared_error(round_trip(format, x), x, &importance));
  }
}

TEST_CASE("importance that says nothing changes nothing") {
  const std::vector<float> x = gaussian(1024);
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    const std::vector<float> plain = round_trip(format, x);
    for (const float weight : {0.0f, 1.0f}) {
      const std::vector<float> importance(x.size(), weight);
      CHECK(squared_error(round_trip(format, x, importance.data()), x) <=
            squared_error(plain, x) * (1 + 1e-6));
    }
  }
}

TEST_CASE("encoding what was decoded changes next to nothing, and encoding is deterministic") {
  const std::vector<float> x = gaussian(256 * 16);
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    const std::vector<float> once = round_trip(format, x), twice = round_trip(format, once);
    CHECK(round_trip(format, x) == once);
    CHECK(squared_error(twice, once) <= 0.01 * squared_error(once, x));
  }
}

TEST_CASE("zeros and constants survive") {
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    const std::vector<float> zeros(512);
    CHECK(round_trip(format, zeros) == zeros);
    // What is left is the rounding of a half (or bfloat16), or of E2M1, whose neighbours are up to 3/2 apart.
    const double tolerance = format.codes.d_is_e8m0 ? 0.2 : format.name == "BF16" ? 0x1p-8 : 0x1p-11;
    for (const float value : {1.0f, -1.0f, 0.37f, -123.0f}) {
      double worst = 0;
      for (const float decoded : round_trip(format, std::vector<float>(512, value))) {
        worst = std::max(worst, std::fabs(double(decoded) / double(value) - 1));
      }
      CHECK(worst <= tolerance);
    }
  }
}

TEST_CASE("tiny and huge numbers stay finite and no further from the truth than zero") {
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    for (const float scale : {1e-45f, 1e-38f, 1e-20f, 1e-7f, 1e6f, 1e30f, 3e38f}) {
      CAPTURE(scale);
      std::vector<float> x = gaussian(512);
      for (float& value : x) value = std::clamp(value * 15, -1.0f, 1.0f) * scale;
      const std::vector<float> decoded = round_trip(format, x);
      CHECK(all_finite(decoded));
      CHECK(squared_error(decoded, x) <= squared_error(std::vector<float>(x.size()), x) * (1 + 1e-6));
    }
    std::vector<float> mixed = gaussian(512);
    mixed[5] = 1e30f, mixed[300] = -1e-40f;
    CHECK(all_finite(round_trip(format, mixed)));
  }
}

TEST_CASE("formats of codes take NaN for zero and infinity for the largest they hold") {
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    std::vector<float> x = gaussian(512);
    x[1] = std::numeric_limits<float>::quiet_NaN();
    x[300] = -std::numeric_limits<float>::infinity();
    const std::vector<float> decoded = round_trip(format, x);
    CHECK(all_finite(decoded));
    CHECK(decoded[300] < -60000.0f);
  }
}
