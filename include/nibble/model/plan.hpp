// The transformer as straight-line data: steps over slots, the weights they name, and the KV cache's layout.
// Made by an architecture from Config and Weights; all that a backend ever sees of a model.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/model/config.hpp"
#include "nibble/model/weights.hpp"

namespace nibble::inline v0 {

enum class Op : std::uint8_t {
  embed,  // out[t] = scale * w[token[t]]
  norm,   // out = RMS-normalise each group of `norm.group` columns of a, times w (the same w for every group)
  matmul,  // out[t] = w * a[t] + bias, then * scale, then softcap * tanh(. / softcap). With n_experts, b is
           // a route's out, and part j of out[t] is the same of the token's j-th expert, whose matrix is w +
           // its number (its bias likewise), and of a[t], or of its part j; where `weighted`, times weight j
  route,   // out[t] = the numbers of the n_used largest columns of a[t], of equals the first, then a weight
           // for each: softmax of a[t] over them, or over all columns (softmax_all)
  rope,    // a rotated in place, head by head, at each token's position (out == a)
  attend,  // keys and values (b = k|v) appended to the cache, then out = softmax(a k^T) v over what each
           // token may see; where there is a w (n_heads), over its number for the head besides, which adds
           // nothing to out
  gate,    // out = activation(a) * b
  add,     // out = a + b, or + the parts of b in order, where it is some times as wide
  gather,  // out[t][i] = a[t][order[i]]: inputs in the order that a matrix keeps its columns in
};

// Which rows of a batch a buffer holds. A step from `tokens` to `outputs` rows picks the rows that want
// logits.
enum class Rows : std::uint8_t { tokens, outputs };

// A float32 buffer of the plan: (rows, width). Alive from the first step that writes it to the last that
// reads it.
struct Extent {
  Rows rows = Rows::tokens;
  std::uint32_t width = 0;
  std::uint32_t first_step = 0;
  std::uint32_t last_step = 0;
};

// Columns [offset, offset + width) of a buffer. Fused matrices fill a buffer at once, separate ones a part of
// it each.
struct Slot {
  std::uint32_t buffer = 0;
  std::uint32_t offset = 0;
  std::uint32_t width = 0;

  constexpr Slot part(std::uint32_t from, std::uint32_t n) const { return {buffer, offset + from, n}; }
  friend constexpr bool operator==(const Slot&, const Slot&) = default;
};

enum class Activation : std::uint8_t {
  silu,
  gelu_tanh,
  // gpt-oss: with a' = min(a, 7) and b' = b in [-7, 7], out = a' / (1 + e^(-1.702 a')) * (b' + 1)
  clamped_swish,
};

// The numbers of a step; each op reads its own group and ignores the rest.
struct Args {
  WeightId bias = no_weight;     // matmul: (rows)
  float scale = 1.0f;            // embed, matmul; attend: multiplies q k^T
  float softcap = 0.0f;          // matmul, attend: 0 none
  float eps = 0.0f;              // norm
  std::uint32_t group = 0;       // norm: columns normalised together
  std::uint32_t rope = 0;        // rope: index into Plan::ropes
  std::uint32_t layer = 0;       // attend: index into Plan::kv
  std::uint32_t order = 0;       // gather: index into Plan::orders
  std::uint32_t n_heads = 0;     // rope, attend
  std::uint32_t n_kv_heads = 0;  // attend
  std::uint32_t head_dim = 0;    // rope, attend
  std::uint32_t window = 0;      // attend: key allowed iff 0 <= q_pos - k_pos < window; 0: no window
  Activation activation = Activation::silu;  // gate
  std::uint32_t n_experts = 0;               // route, matmul: 0 a dense one
  std::uint32_t n_used = 0;                  // route, matmul: experts of a token
  bool weighted = false;                     // matmul with experts
  bool softmax_all = false;                  // route
};

struct Step {
  Op op;
  Slot out, a, b;
  WeightId w = no_weight;
  Args args;
};

// Which two columns of a head rotate together.
enum class RopePairs : std::uint8_t { adjacent /* (2j, 2j+1) */, halves /* (j, j + dim/2) */ };

// Angle of pair j at position p: p * inverse_frequency[j] (float32 product); cos and sin are multiplied by
// `magnitude`.
struct RopeTable {
  RopePairs pairs = RopePairs::adjacent;
  std::vector<float> inverse_frequency;  // (dim / 2)
  float magnitude = 1.0f;
};

// One layer's keys and values for one position: n_kv_heads * head_dim of each.
struct KvLayer {
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t window = 0;  // 0: keeps all positions
};

// How many matrices a step's w is the first of: one, or as many as there are experts.
inline std::uint32_t n_matrices(const Step& step) { return std::max(1u, step.args.n_experts); }

struct Plan {
  std::vector<Step> steps;
  std::vector<Extent> buffers;
  std::vector<KvLayer> kv;
  std::vector<RopeTable> ropes;
  std::vector<std::vector<std::uint32_t>> orders;  // columns of a, one for each of out
  Slot logits;                                     // (outputs, vocab_size)
  std::uint32_t vocab_size = 0;
};

// One line a step: "12 matmul  b3[0:512] = blk.0.attn_q.weight * b2".
NIBBLE_API std::string describe(const Step& step, const Weights& weights);

// The inverse frequencies of a RopeConfig, for contexts of config.context positions. `divisors` names a
// tensor of GGUF (dim / 2) in place of the scaling's own divisors (rope_freqs, rope_factors_*), or is
// no_weight. Formulas: transformers modeling_rope_utils, with llama3's written as divisors so that both
// containers give the same bits. Errors: out_of_range (a divisor that is not a finite number above 0, angles
// that are not finite), missing (longrope without divisors).
NIBBLE_API RopeTable make_rope(const RopeConfig& config, RopePairs pairs, WeightId divisors,
                               const Weights& weights);

}  // namespace nibble::inline v0
