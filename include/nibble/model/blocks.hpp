// The parts transformers are built from, as functions that append steps to a plan: attention, gated MLP,
// norms. Used by every architecture's plan(); the result is model/plan.hpp's data.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "nibble/model/plan.hpp"

namespace nibble::inline v0 {

// A layer's weights by the last part of their GGUF name: layer("attn_q") is "blk.3.attn_q".
struct Layer {
  std::uint32_t number;
  std::string operator()(std::string_view part) const {
    return "blk." + std::to_string(number) + "." + std::string(part);
  }
};

struct AttentionOptions {
  std::uint32_t rope = 0;    // index from add_rope
  std::uint32_t window = 0;  // 0: none
  float scale = 0.0f;        // 0: 1 / sqrt(head_dim)
  float softcap = 0.0f;      // 0: none
};

class PlanBuilder {
 public:
  PlanBuilder(const Config& config, const Weights& weights) : config_(config), weights_(weights) {
    plan_.vocab_size = config.vocab_size;
  }

  std::uint32_t add_rope(RopeTable table) {
    plan_.ropes.push_back(std::move(table));
    return static_cast<std::uint32_t>(plan_.ropes.size() - 1);
  }

  // Rows of `name`.weight for the batch's tokens: (tokens, embed_dim).
  Slot embed(std::string_view name, float scale = 1.0f) {
    const Slot out = buffer(config_.embed_dim);
    return push({.op = Op::embed, .out = out, .a = {}, .b = {}, .w = weight(name), .args = {.scale = scale}});
  }

  // RMS norm over the whole width, into a new buffer.
  Slot norm(Slot x, std::string_view name, Rows rows = Rows::tokens) {
    const Slot out = buffer(x.width, rows);
    return push({.op = Op::norm,
                 .out = out,
                 .a = x,
                 .b = {},
                 .w = weight(name),
                 .args = {.eps = static_cast<float>(config_.norm_eps), .group = x.width}});
  }

  // out = name.weight * x + name.bias (where there is one), into columns of a buffer.
  Slot linear_into(Slot out, Slot x, std::string_view name) {
    const WeightId id = weight(name);
    return push({.op = Op::matmul,
                 .out = out,
                 .a = in_order(x, id),
                 .b = {},
                 .w = id,
                 .args = {.bias = weights_.find(std::string(name) + ".bias")}});
  }

  Slot linear(Slot x, std::string_view name) {
    const auto rows = static_cast<std::uint32_t>(weights_[weight(name)].tensor.shape[0]);
    return linear_into(buffer(rows, plan_.buffers[x.buffer].rows), x, name);
  }

  // x + y, in x's place: the residual stream.
  Slot add(Slot x, Slot y) {
    return push({.op = Op::add, .out = x, .a = x, .b = y, .w = no_weight, .args = {}});
  }

  // Grouped-query attention with rotary positions over the cache of one layer, output projection included.
  Slot attention(Slot x, const Layer& layer, const AttentionOptions& options) {
    const std::uint32_t hd = config_.head_dim, n_q = config_.n_heads * hd, n_kv = config_.n_kv_heads * hd;
    const Slot qkv = buffer(n_q + 2 * n_kv);
    const Slot q = qkv.part(0, n_q), k = qkv.part(n_q, n_kv), v = qkv.part(n_q + n_kv, n_kv);
    linear_into(q, x, layer("attn_q"));
    linear_into(k, x, layer("attn_k"));
    linear_into(v, x, layer("attn_v"));
    rope(q, config_.n_heads, options.rope);
    rope(k, config_.n_kv_heads, options.rope);

    Args args{.scale = options.scale != 0 ? options.scale : 1.0f / std::sqrt(static_cast<float>(hd)),
              .softcap = options.softcap,
              .layer = static_cast<std::uint32_t>(plan_.kv.size()),
              .n_heads = config_.n_heads,
              .n_kv_heads = config_.n_kv_heads,
              .head_dim = hd,
              .window = options.window};
    plan_.kv.push_back({.n_kv_heads = config_.n_kv_heads, .head_dim = hd, .window = options.window});
    const Slot out = buffer(n_q);
    push({.op = Op::attend, .out = out, .a = q, .b = qkv.part(n_q, 2 * n_kv), .w = no_weight, .args = args});
    return linear(out, layer("attn_output"));
  }

  // down( activation(gate x) * up x )
  Slot gated_mlp(Slot x, const Layer& layer, Activation activation) {
    const std::uint32_t n = config_.ffn_dim;
    const Slot both = buffer(2 * n);
    const Slot gate = linear_into(both.part(0, n), x, layer("ffn_gate"));
    const Slot up = linear_into(both.part(n, n), x, layer("ffn_up"));
    push({.op = Op::gate,
          .out = gate,
          .a = gate,
          .b = up,
          .w = no_weight,
          .args = {.activation = activation}});
    return linear(gate, layer("ffn_down"));
  }

  // The last norm, on the rows that want logits only, and the output matrix: `tied` where the file has no own
  // one.
  Plan finish(Slot x, std::string_view norm_name, std::string_view output, std::string_view tied) {
    const Slot last = norm(x, norm_name, Rows::outputs);
    const bool own = weights_.find(std::string(output) + ".weight") != no_weight;
    plan_.logits = linear(last, own ? output : tied);
    return std::move(plan_);
  }

 private:
  WeightId weight(std::string_view name) const { return weights_.get(std::string(name) + ".weight"); }

  // x as the matrix's columns lie; matrices beside each other that agree share it.
  Slot in_order(Slot x, WeightId matrix) {
    const std::vector<std::uint32_t>& order = weights_[matrix].order;
    if (order.empty()) return x;
    const auto last = std::find_if(plan_.steps.rbegin(), plan_.steps.rend(),
                                   [](const Step& step) { return step.op != Op::matmul; });
    if (last->op == Op::gather && last->a == x && plan_.orders[last->args.order] == order) return last->out;
    plan_.orders.push_back(order);
    const auto number = static_cast<std::uint32_t>(plan_.orders.size() - 1);
    const Slot out = buffer(x.width, plan_.buffers[x.buffer].rows);
    return push({.op = Op::gather, .out = out, .a = x, .b = {}, .w = no_weight, .args = {.order = number}});
  }

  void rope(Slot x, std::uint32_t n_heads, std::uint32_t table) {
    push({.op = Op::rope,
          .out = x,
          .a = x,
          .b = {},
          .w = no_weight,
          .args = {.rope = table, .n_heads = n_heads, .head_dim = config_.head_dim}});
  }

  Slot buffer(std::uint32_t width, Rows rows = Rows::tokens) {
    plan_.buffers.push_back({.rows = rows, .width = width, .first_step = ~0u, .last_step = 0});
    return {static_cast<std::uint32_t>(plan_.buffers.size() - 1), 0, width};
  }

  Slot push(const Step& step) {
    const auto number = static_cast<std::uint32_t>(plan_.steps.size());
    for (const Slot& slot : {step.out, step.a, step.b}) {
      if (slot.width == 0) continue;
      Extent& extent = plan_.buffers[slot.buffer];
      extent.first_step = std::min(extent.first_step, number);
      extent.last_step = number;
    }
    plan_.steps.push_back(step);
    return step.out;
  }

  const Config& config_;
  const Weights& weights_;
  Plan plan_;
};

}  // namespace nibble::inline v0
