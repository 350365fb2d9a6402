// The operator table's cases: plans of one op over every format and many shapes, the same for every backend.
// Used by op_table_test.cpp and by tests/cuda.
#pragma once

#include "tests/kernels/toy_plan.hpp"

namespace nibble {

// Sizes that hit 1, odd, and both sides of every tile.
inline std::uint32_t draw(std::mt19937& random, std::uint32_t most) {
  const std::uint32_t edges[] = {1, 2, 3, 7, 15, 16, 17, 33, 47, 48, 49, 64, 65};
  const std::uint32_t n = random() % 2 == 0 ? edges[random() % std::size(edges)] : random() % most + 1;
  return std::min(n, most);
}

struct Case {
  // With hardly more room than they take: usual buffers take longer to clear than cases to run.
  void set_tokens(std::uint32_t n) {
    tokens = n;
    options.max_tokens = options.max_outputs = n + n % 3;
  }

  ToyPlan toy;
  std::uint32_t tokens = 1;
  BackendOptions options;
};

// Rows of a format, encoded once for all shapes.
inline std::vector<std::byte> bank(const Format& format, std::size_t elements) {
  const std::vector<float> values = random_floats(elements, 7);
  std::vector<std::byte> bytes(elements / format.block_size * format.block_bytes);
  format.encode(values.data(), bytes.data(), elements, nullptr);
  return bytes;
}

inline constexpr std::uint32_t most_rows = 100, most_cols = 2560, most_experts = 9;
// Each expert's rows begin a block after those of the one before.
inline constexpr std::size_t bank_elements = std::size_t{most_rows} * most_cols + most_experts * 256;

// Both sides of every tile and group: of tokens, small batches and those around a tile of up to 64; of rows,
// tiles of 8, 16 and 32; of columns, groups of 32, 64, 128 and 256
// and stretches of 512 and 1024. The lists' lengths have no common factor:
// their combinations differ from shape to shape.
inline constexpr std::uint32_t token_edges[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                16, 17, 31, 32, 33, 60, 61, 62, 63, 64, 65, 66, 97, 100};
inline constexpr std::uint32_t row_edges[] = {1,  7,  8,  9,  15, 16, 17, 24, 31, 32, 33,
                                              40, 47, 48, 49, 63, 64, 65, 96, 97, 100};
inline constexpr std::uint32_t col_edges[] = {32,  64,  128, 160, 192, 224, 256,  288,
                                              384, 416, 512, 544, 640, 768, 1056, 2560};
static_assert(std::size(token_edges) == 29 && std::size(row_edges) == 21 && std::size(col_edges) == 16);

inline std::uint32_t matmul_cols(const Format& format, std::uint32_t i) {
  const std::uint32_t cols = col_edges[i % std::size(col_edges)],
                      block = static_cast<std::uint32_t>(format.block_size);
  if (block > 1) return (cols + block - 1) / block * block;
  return i % 3 == 0 ? cols : std::min(cols - 1 + i % 5, most_cols);  // formats without blocks take any number
}

inline Case matmul_case(const Format& format, const std::vector<std::byte>& bytes, std::uint32_t i) {
  std::mt19937 random(i);
  const std::uint32_t cols = matmul_cols(format, i), rows = row_edges[i % std::size(row_edges)];
  Case c;
  c.set_tokens(token_edges[i % std::size(token_edges)]);
  const Slot in = c.toy.inputs(cols, random_floats(std::size_t{c.tokens} * cols, random()));
  const std::size_t used = std::size_t{rows} * cols / format.block_size * format.block_bytes;
  std::vector<std::byte> weights(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(used));
  Args args{.scale = random() % 2 != 0 ? 1.0f : 0.25f};
  if (random() % 4 == 0) args.softcap = 30.0f;
  const WeightId w = c.toy.weight("matrix", format, rows, cols, std::move(weights));
  if (random() % 2 == 0)
    args.bias = c.toy.weight("bias", *find_format(Dtype::F32), 0, rows, random_floats(rows, random()));
  c.toy.finish({.op = Op::matmul, .out = {}, .a = in, .b = {}, .w = w, .args = args}, rows);
  return c;
}

// Few different scores, so that most are tied.
inline Case route_case(std::uint32_t i) {
  std::mt19937 random(i);
  Case c;
  c.set_tokens(draw(random, 40));
  const std::uint32_t n_experts = draw(random, 130), n_used = draw(random, std::min(n_experts, 12u));
  std::vector<float> scores(std::size_t{c.tokens} * n_experts);
  for (float& score : scores) score = 0.7f * static_cast<float>(random() % (i % 7 + 2));
  const Slot routed = c.toy.route(c.toy.inputs(n_experts, scores), n_experts, n_used, i % 2 == 0);
  // The numbers and 1, or the weights alone, which the numbers would outshine.
  const bool numbers = i % 4 < 2;
  const Slot half = routed.part(numbers ? 0 : n_used, n_used);
  const Slot more = c.toy.inputs(n_used, std::vector<float>(std::size_t{c.tokens} * n_used, numbers));
  c.toy.finish({.op = Op::add, .out = {}, .a = half, .b = more, .w = no_weight, .args = {}}, n_used);
  return c;
}

// An expert's matmul of an input that experts share, or of one for each, weighted or not, with biases or not.
inline Case expert_case(const Format& format, const std::vector<std::byte>& bytes, std::uint32_t i) {
  std::mt19937 random(i);
  const std::uint32_t cols = matmul_cols(format, i), rows = row_edges[i % std::size(row_edges)];
  const std::uint32_t n_experts = draw(random, most_experts), n_used = draw(random, std::min(n_experts, 4u));
  const bool own = random() % 2 == 0;
  Case c;
  c.set_tokens(token_edges[i % std::size(token_edges)]);
  const std::uint32_t width = own ? n_used * cols : cols;
  const Slot in = c.toy.inputs(width, random_floats(std::size_t{c.tokens} * width, random()));
  const Slot scores = c.toy.inputs(n_experts, random_floats(std::size_t{c.tokens} * n_experts, random()));
  const Slot routed = c.toy.route(scores, n_experts, n_used, false);
  Args args{.n_experts = n_experts, .n_used = n_used, .weighted = random() % 2 == 0};
  const std::size_t used = std::size_t{rows} * cols / format.block_size * format.block_bytes;
  WeightId first = no_weight;
  for (std::uint32_t e = 0; e < n_experts; ++e) {
    const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(e * format.block_bytes);
    first = std::min(first, c.toy.weight("matrix" + std::to_string(e), format, rows, cols,
                                         std::vector(from, from + static_cast<std::ptrdiff_t>(used))));
  }
  const bool biased = random() % 2 == 0;
  for (std::uint32_t e = 0; biased && e < n_experts; ++e) {
    args.bias = std::min(args.bias, c.toy.weight("bias" + std::to_string(e), *find_format(Dtype::F32), 0,
                                                 rows, random_floats(rows, random())));
  }
  c.toy.finish({.op = Op::matmul, .out = {}, .a = in, .b = routed, .w = first, .args = args}, n_used * rows);
  return c;
}

inline Case embed_case(const Format& format, std::mt19937& random) {
  const std::uint32_t width = draw(random, 8) * (format.block_size == 1 ? 13 : format.block_size);
  Case c;
  c.set_tokens(draw(random, 20));
  const std::vector<float> values = random_floats(std::size_t{c.tokens} * width, random());
  const WeightId table = c.toy.weight("table", format, c.tokens, width, values);
  const Slot out{c.toy.buffer(width), 0, width};
  const float scale = static_cast<float>(random() % 100 + 1) / 8.0f;
  c.toy.plan.steps.push_back(
      {.op = Op::embed, .out = out, .a = {}, .b = {}, .w = table, .args = {.scale = scale}});
  const std::vector<float> zeros(std::size_t{c.tokens} * width);
  c.toy.finish(
      {.op = Op::add, .out = {}, .a = out, .b = c.toy.inputs(width, zeros), .w = no_weight, .args = {}},
      width);
  return c;
}

inline Case norm_case(int i) {
  std::mt19937 random(static_cast<std::uint32_t>(i));
  Case c;
  c.set_tokens(draw(random, 30));
  const std::uint32_t group = draw(random, 5'000), width = group * (random() % 4 + 1);
  const float size = i % 3 == 0 ? 1e-4f : i % 3 == 1 ? 1.0f : 1e4f;
  const Slot in = c.toy.inputs(width, random_floats(std::size_t{c.tokens} * width, random(), size));
  const WeightId w = c.toy.weight("w", *find_format(Dtype::BF16), 0, group, random_floats(group, random()));
  Step norm{.op = Op::norm, .out = in, .a = in, .b = {}, .w = w, .args = {.eps = 1e-5f, .group = group}};
  if (i % 2 == 0) {
    c.toy.finish(norm, width);
  } else {  // in place, as heads are
    c.toy.plan.steps.push_back(norm);
    const Slot zeros = c.toy.inputs(width, std::vector<float>(std::size_t{c.tokens} * width));
    c.toy.finish({.op = Op::add, .out = {}, .a = in, .b = zeros, .w = no_weight, .args = {}}, width);
  }
  return c;
}

inline Case gate_case(int i) {
  std::mt19937 random(static_cast<std::uint32_t>(i));
  Case c;
  c.set_tokens(draw(random, 30));
  const std::uint32_t width = draw(random, 3'000);
  const float size = i % 2 == 0 ? 1.0f : 20.0f;
  const Slot in = c.toy.inputs(2 * width, random_floats(std::size_t{c.tokens} * 2 * width, random(), size));
  const Op op = i % 3 == 0 ? Op::add : Op::gate;
  const Activation activation = i % 3 == 1   ? Activation::silu
                                : i % 6 == 2 ? Activation::gelu_tanh
                                             : Activation::clamped_swish;
  c.toy.finish({.op = op,
                .out = {},
                .a = in.part(0, width),
                .b = op == Op::add && i % 2 == 0 ? in : in.part(width, width),  // both parts of it, or one
                .w = no_weight,
                .args = {.activation = activation}},
               width);
  return c;
}

inline Case rope_case(int i) {
  std::mt19937 random(static_cast<std::uint32_t>(i));
  Case c;
  c.set_tokens(draw(random, 100));
  const std::uint32_t heads = draw(random, 9), head_dim = 2 * draw(random, 64), width = heads * head_dim;
  const std::uint32_t pairs = i % 4 == 0 ? (head_dim / 2 + 1) / 2 : head_dim / 2;
  RopeTable table{.pairs = i % 2 == 0 ? RopePairs::adjacent : RopePairs::halves,
                  .inverse_frequency = {},
                  .magnitude = i % 3 == 0 ? 1.19f : 1.0f};
  for (std::uint32_t j = 0; j < pairs; ++j)
    table.inverse_frequency.push_back(std::pow(10'000.0f, -float(j) / float(pairs)));
  c.toy.plan.ropes.push_back(table);
  const Slot in = c.toy.inputs(width, random_floats(std::size_t{c.tokens} * width, random()));
  const Args args{.rope = 0, .n_heads = heads, .head_dim = head_dim};
  c.toy.plan.steps.push_back({.op = Op::rope, .out = in, .a = in, .b = {}, .w = no_weight, .args = args});
  const Slot zeros = c.toy.inputs(width, std::vector<float>(std::size_t{c.tokens} * width));
  c.toy.finish({.op = Op::add, .out = {}, .a = in, .b = zeros, .w = no_weight, .args = {}}, width);
  return c;
}

inline Case attend_case(std::uint32_t seed, KvType type, std::uint32_t tokens) {
  std::mt19937 random(seed);
  Case c;
  c.set_tokens(tokens);
  c.options.kv_type = type;
  const std::uint32_t heads = random() % 3 + 1, group = random() % 5 + 1;
  const std::uint32_t of_models[] = {64, 80, 96, 128, 256};
  std::uint32_t head_dim = random() % 2 == 0 ? of_models[random() % std::size(of_models)] : draw(random, 80);
  if (type == KvType::Q8_0) head_dim = (head_dim + 31) / 32 * 32;
  const std::uint32_t q = heads * group * head_dim, kv = 2 * heads * head_dim;
  const std::uint32_t window = random() % 2 == 0 ? 0 : draw(random, std::max(150u, tokens));
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  c.toy.plan.kv = {{.n_kv_heads = heads, .head_dim = head_dim, .window = window}};
  c.options.kv_pages = static_cast<std::uint32_t>(kv_pages_needed(c.toy.plan.kv, tokens, tokens));
  const Slot in = c.toy.inputs(q + kv, random_floats(std::size_t{tokens} * (q + kv), random(), 2.0f));
  WeightId sinks = no_weight;
  if (random() % 2 == 0) {
    sinks = c.toy.weight("sinks", *find_format(Dtype::F32), 0, heads * group,
                         random_floats(heads * group, random(), 5.0f));
  }
  c.toy.finish({.op = Op::attend,
                .out = {},
                .a = in.part(0, q),
                .b = in.part(q, kv),
                .w = sinks,
                .args = {.scale = scale,
                         .softcap = random() % 3 == 0 ? 5.0f : 0.0f,
                         .layer = 0,
                         .n_heads = heads * group,
                         .n_kv_heads = heads,
                         .head_dim = head_dim,
                         .window = window}},
               q);
  return c;
}

}  // namespace nibble
