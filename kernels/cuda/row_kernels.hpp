// Kernels of the ops that go element by element or row by row: gate, add, gather, norm, rope, route.
// Each is what kernels/reference/backend.cpp says of its op, in float; a result depends on its own row alone.
#pragma once

#include "kernels/cuda/activations.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/kernel_list.hpp"
#include "kernels/cuda/multiply.hpp"
#include "nibble/model/plan.hpp"

namespace nibble::inline v0::cuda {

// Columns of a buffer on the device, and for each row of the output the row of it that is read: from[i], or i
// where `from` is null.
struct Input {
  const float* data;
  std::uint32_t stride;
  const std::uint32_t* from;

  NIBBLE_DEVICE const float* row(std::uint32_t i) const {
    return data + std::size_t{from == nullptr ? i : from[i]} * stride;
  }
};
struct Output {
  float* data;
  std::uint32_t stride, n_rows, width;

  NIBBLE_DEVICE float* row(std::uint32_t i) const { return data + std::size_t{i} * stride; }
};

// The sum of every lane's value, the same bits in each of them.
template <class T>
NIBBLE_DEVICE T sum_of_warp(T value) {
  for (std::uint32_t mask = device::warp_size / 2; mask != 0; mask /= 2)
    value = value + device::shuffle_xor(value, mask);
  return value;
}

// Elementwise: blocks (rows, stretches of `threads` columns).
struct Add {
  static constexpr std::uint32_t threads = 256;
  Input a, b;
  std::uint32_t b_width;  // some times out.width: its parts are added in order
  Output out;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), c = device::block_y() * threads + device::thread();
    if (c >= out.width) return;
    float x = a.row(i)[c];
    for (std::uint32_t part = c; part < b_width; part += out.width) x = x + b.row(i)[part];
    out.row(i)[c] = x;
  }
};

struct Gate {
  static constexpr std::uint32_t threads = 256;
  Input a, b;
  Output out;
  Activation activation;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), c = device::block_y() * threads + device::thread();
    if (c < out.width) out.row(i)[c] = gated(activation, a.row(i)[c], b.row(i)[c]);
  }
};

struct Gather {
  static constexpr std::uint32_t threads = 256;
  Input a;
  const std::uint32_t* order;  // (out.width)
  Output out;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), c = device::block_y() * threads + device::thread();
    if (c < out.width) out.row(i)[c] = a.row(i)[order[c]];
  }
};

// How a block normalises `group` columns. A thread adds the squares of its own in order; then come the lanes
// of a warp, pair by pair, and the warps in order.
struct NormOfGroup {
  const float* weight;  // (group)
  std::uint32_t group;
  float eps;

  // Of a row that `x` holds, where `w` holds the weight. `shared`: Row::shared_bytes.
  template <class Row>
  NIBBLE_DEVICE void normalise(Row& x, const Row& w, std::byte* shared) const {
    float squares = 0.0f;
    add_squares(x, squares);
    scale_by(scale_of<Row>(squares, shared), w, x);
  }
  // From `in` to `to`, which `x` holds then, if it can. A thread reads and writes its own columns alone: `to`
  // may be `in`.
  template <class Row>
  NIBBLE_DEVICE void normalise(Row& x, const float* in, float* to, std::byte* shared) const {
    const bool by_pieces = Row::in_pieces(weight, group) && Row::in_pieces(in, group);
    Row w;
    w.load(weight, group, by_pieces);
    x.load(in, group, by_pieces);
    if (Row::holds(group)) {
      normalise(x, w, shared);
      x.store(to, group);
      return;
    }
    float squares = 0.0f;
    for (std::uint32_t first = 0; first < group; first += Row::cols) {
      x.load(in + first, group - first);
      add_squares(x, squares);
    }
    const float scale = scale_of<Row>(squares, shared);
    for (std::uint32_t first = 0; first < group; first += Row::cols) {
      x.load(in + first, group - first);
      w.load(weight + first, group - first);
      scale_by(scale, w, x);
      x.store(to + first, group - first);
    }
  }

 private:
  template <class Row>
  NIBBLE_DEVICE static void add_squares(Row& x, float& squares) {
    x.each([&](float value) { squares = device::fma(value, value, squares); });
  }
  template <class Row>
  NIBBLE_DEVICE float scale_of(float squares, std::byte* shared) const {
    squares = Row::over_block(squares, group, shared, [](float a, float b) { return a + b; });
    return 1.0f / device::sqrt(squares / static_cast<float>(group) + eps);
  }
  template <class Row>
  NIBBLE_DEVICE static void scale_by(float scale, const Row& w, Row& x) {
    x.each([&](float& value) { value = value * scale; });
    x.multiply(w);
  }
};

// What a block does with a row that it has made, for the matmuls that read it next: nothing without `out`.
struct ThenConvert {
  ConvertActivations convert = {};

  // Of the row at `row`, which `x` holds, if it can.
  template <class Row>
  NIBBLE_DEVICE void operator()(Row& x, const float* row, std::byte* shared) const {
    if (convert.out != nullptr) convert.convert(device::block_x(), x, row, shared);
  }
};

// Blocks (rows, groups).
struct Norm {
  using Row = BlockRow<512, 4>;
  static constexpr std::uint32_t threads = Row::threads, shared_bytes = 2 * Row::shared_bytes;
  Input a;
  NormOfGroup norm;
  Output out;
  ThenConvert then_convert;  // of one group alone

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), first = device::block_y() * norm.group;
    Row x;
    norm.normalise(x, a.row(i) + first, out.row(i) + first, device::shared());
    then_convert(x, out.row(i), device::shared() + Row::shared_bytes);
  }
};

// A sum and, of it, the norm over its whole width, which a block holds. Blocks (rows).
struct AddNorm {
  using Row = Norm::Row;
  static constexpr std::uint32_t threads = Row::threads, shared_bytes = 3 * Row::shared_bytes;
  NormOfGroup before;  // of b, where it has a weight: then b is as wide as the sum
  Add sum;
  NormOfGroup norm;
  Output out;
  ThenConvert then_convert;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), width = norm.group;
    const float *a = sum.a.row(i), *b = sum.b.row(i);
    std::byte* shared = device::shared();
    // Asked once, and before anything is loaded: so all of it is on its way together.
    const bool by_pieces = Row::in_pieces(a, width) && Row::in_pieces(b, width) &&
                           Row::in_pieces(norm.weight, width) && Row::in_pieces(before.weight, width);
    Row x, y, w, w_before;
    w.load(norm.weight, width, by_pieces);
    x.load(a, width, by_pieces);
    y.load(b, width, by_pieces);
    if (before.weight != nullptr) {
      w_before.load(before.weight, width, by_pieces);
      before.normalise(y, w_before, shared);
    }
    x.add(y);
    for (std::uint32_t part = width; part < sum.b_width; part += width) {
      y.load(b + part, width, by_pieces);
      x.add(y);
    }
    x.store(sum.out.row(i), width);
    norm.normalise(x, w, shared + Row::shared_bytes);
    x.store(out.row(i), width);
    then_convert(x, out.row(i), shared + 2 * Row::shared_bytes);
  }
};

// Cosines and sines of a batch: angles[t] = cos (n_pairs), sin (n_pairs). Blocks (tokens, stretches of
// pairs).
struct Angles {
  static constexpr std::uint32_t threads = 64;
  const std::uint32_t* positions;
  const float* inverse_frequency;  // (n_pairs)
  std::uint32_t n_pairs;
  float magnitude;
  float* angles;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t t = device::block_x(), j = device::block_y() * threads + device::thread();
    if (j >= n_pairs) return;
    const double angle = static_cast<float>(positions[t]) * inverse_frequency[j];
    float* row = angles + std::size_t{t} * 2 * n_pairs;
    row[j] = static_cast<float>(device::cos(angle)) * magnitude;
    row[n_pairs + j] = static_cast<float>(device::sin(angle)) * magnitude;
  }
};

// How the pairs of a head rotate.
struct Rotation {
  const float* angles;  // (tokens, 2, n_pairs)
  std::uint32_t n_pairs;
  RopePairs pairs;

  struct Turn {
    float cos, sin;
  };
  // Of pair j of a token's heads; of one beyond them as of the first.
  NIBBLE_DEVICE Turn turn(std::uint32_t token, std::uint32_t j) const {
    const float* cosines = angles + std::size_t{token} * 2 * n_pairs + (j < n_pairs ? j : 0);
    return {cosines[0], cosines[n_pairs]};
  }
  NIBBLE_DEVICE void rotate(float* head, std::uint32_t j, const Turn& turn) const {
    const bool adjacent = pairs == RopePairs::adjacent;
    float& first = head[adjacent ? 2 * j : j];
    float& second = head[adjacent ? 2 * j + 1 : j + n_pairs];
    const float x = first, y = second;
    first = x * turn.cos - y * turn.sin;
    second = x * turn.sin + y * turn.cos;
  }
};

// In place. Blocks (rows, stretches of all heads' pairs).
struct Rope {
  static constexpr std::uint32_t threads = 128;
  Output out;                  // (rows, n_heads, head_dim)
  const std::uint32_t* token;  // of each row, or null: the same
  std::uint32_t n_heads, head_dim;
  Rotation rotation;

  NIBBLE_DEVICE void operator()() const {
    const std::uint32_t i = device::block_x(), n = device::block_y() * threads + device::thread();
    if (n >= n_heads * rotation.n_pairs) return;
    const std::uint32_t j = n % rotation.n_pairs;
    rotation.rotate(out.row(i) + n / rotation.n_pairs * head_dim, j,
                    rotation.turn(token == nullptr ? i : token[i], j));
  }
};

// One warp a row. Experts are ordered by score, of equal ones by number; each next one is the first that
// comes after the last in that order. Scores that are no numbers come last, and weigh what arithmetic makes
// of them.
struct Route {
  static constexpr std::uint32_t threads = device::warp_size;
  Input a;
  std::uint32_t n_experts, n_used;
  bool softmax_all;
  Output out;

  NIBBLE_DEVICE void operator()() const {
    const float* scores = a.row(device::block_x());
    float* chosen = out.row(device::block_x());
    float* weights = chosen + n_used;
    float last = 0.0f, largest = 0.0f;
    std::uint32_t last_expert = n_experts;  // none yet
    for (std::uint32_t j = 0; j < n_used; ++j) {
      const std::uint32_t expert = next(scores, last, last_expert);
      last = scores[expert];
      last_expert = expert;
      if (j == 0) largest = last;
      if (device::thread() == 0) {
        chosen[j] = static_cast<float>(expert);
        weights[j] = last;
      }
    }
    double all = 0.0;
    for (std::uint32_t e = device::thread(); softmax_all && e < n_experts; e += threads)
      all += device::exp(static_cast<double>(scores[e]) - largest);
    all = sum_of_warp(all);
    if (device::thread() != 0) return;
    double used = 0.0;
    for (std::uint32_t j = 0; j < n_used; ++j) used += device::exp(static_cast<double>(weights[j]) - largest);
    for (std::uint32_t j = 0; j < n_used; ++j) {
      const double weight = device::exp(static_cast<double>(weights[j]) - largest);
      weights[j] = static_cast<float>(weight / (softmax_all ? all : used));
    }
  }

  // A comparison with what is no number is false; such scores count as the least there is.
  static NIBBLE_DEVICE float comparable(float score) {
    return score == score ? score : device::float_of(0xff800000u);
  }
  static NIBBLE_DEVICE bool before(float a, std::uint32_t a_expert, float b, std::uint32_t b_expert) {
    return a > b || (a == b && a_expert < b_expert);
  }

  NIBBLE_DEVICE std::uint32_t next(const float* scores, float last, std::uint32_t last_expert) const {
    std::uint32_t best = n_experts;
    float best_score = 0.0f;
    for (std::uint32_t e = device::thread(); e < n_experts; e += threads) {
      const float score = comparable(scores[e]);
      const bool follows = last_expert == n_experts || before(comparable(last), last_expert, score, e);
      if (follows && (best == n_experts || before(score, e, best_score, best))) {
        best = e;
        best_score = score;
      }
    }
    for (std::uint32_t mask = threads / 2; mask != 0; mask /= 2) {
      const std::uint32_t other = device::shuffle_xor(best, mask);
      const float other_score = device::shuffle_xor(best_score, mask);
      if (other != n_experts && (best == n_experts || before(other_score, other, best_score, best))) {
        best = other;
        best_score = other_score;
      }
    }
    return best;
  }
};

using RowKernels = KernelList<Add, Gate, Gather, Norm, AddNorm, Angles, Rope, Route>;

}  // namespace nibble::inline v0::cuda
