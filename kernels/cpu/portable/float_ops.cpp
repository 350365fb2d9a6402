// Norm, rotary embedding, gate, addition and soft-cap in plain loops.
// The references they equal are kernels/reference; bound by memory but for the exponentials of gate.
#include <cmath>
#include <numbers>

#include "kernels/cpu/portable/portable.hpp"

namespace nibble::inline v0::cpu::portable {

namespace {

// Squares are added in double, in eight lanes that a compiler can keep in registers.
void norm(const float* in, const float* weight, float* out, std::size_t n, float eps) {
  constexpr std::size_t lanes = 8;
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t l = 0; l < lanes; ++l) sums[l] += static_cast<double>(in[i + l]) * in[i + l];
  }
  for (; i < n; ++i) sums[i % lanes] += static_cast<double>(in[i]) * in[i];
  double sum = 0;
  for (double s : sums) sum += s;
  const auto scale = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + eps));
  for (i = 0; i < n; ++i) out[i] = in[i] * scale * weight[i];
}

void rope(float* head, const float* cos, const float* sin, std::size_t pairs, RopePairs layout) {
  const std::size_t step = layout == RopePairs::adjacent ? 2 : 1;
  const std::size_t apart = layout == RopePairs::adjacent ? 1 : pairs;
  for (std::size_t j = 0; j < pairs; ++j) {
    float& first = head[j * step];
    float& second = head[j * step + apart];
    const float x = first, y = second;
    first = x * cos[j] - y * sin[j];
    second = x * sin[j] + y * cos[j];
  }
}

float silu(float x) { return x / (1.0f + std::exp(-x)); }

float gelu_tanh(float x) {
  constexpr float slope = std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;  // sqrt(2 / pi)
  return 0.5f * x * (1.0f + std::tanh(slope * (x + 0.044715f * x * x * x)));
}

// NaN passes both bounds.
float clamped_swish(float x, float up) {
  const float a = x > 7.0f ? 7.0f : x, b = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
  return a / (1.0f + std::exp(-1.702f * a)) * (b + 1.0f);
}

void gate(const float* gate_in, const float* up, float* out, std::size_t n, Activation activation) {
  switch (activation) {
    case Activation::silu:
      for (std::size_t i = 0; i < n; ++i) out[i] = silu(gate_in[i]) * up[i];
      return;
    case Activation::gelu_tanh:
      for (std::size_t i = 0; i < n; ++i) out[i] = gelu_tanh(gate_in[i]) * up[i];
      return;
    case Activation::clamped_swish:
      for (std::size_t i = 0; i < n; ++i) out[i] = clamped_swish(gate_in[i], up[i]);
      return;
  }
}

void add(const float* a, const float* b, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void finish(float* x, const float* bias, std::size_t n, float scale, float softcap) {
  for (std::size_t i = 0; i < n; ++i) {
    const float value = (bias == nullptr ? x[i] : x[i] + bias[i]) * scale;
    x[i] = softcap == 0 ? value : softcap * std::tanh(value / softcap);
  }
}

}  // namespace

const FloatKernels float_kernels = {norm, rope, gate, add, finish};

}  // namespace nibble::inline v0::cpu::portable
