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

inline constexpr std::uint32_t no_rope = ~0u;

struct AttentionOptions {
  std::uint32_t rope = 0;    // index from add_rope; no_rope: no positions
  std::uint32_t window = 0;  // 0: none
};

// The config's scales and soft-caps are applied where they belong, without being asked for.
class PlanBuilder {
 public:
  PlanBuilder(const Config& config, const Weights& weights)
      : config_(config), weights_(weights), residual_scale_(static_cast<float>(config.residual_scale)) {
    plan_.vocab_size = config.vocab_size;
  }

  std::uint32_t add_rope(RopeTable table) {
    plan_.ropes.push_back(std::move(table));
    return static_cast<std::uint32_t>(plan_.ropes.size() - 1);
  }

  // Rows of `name`.weight for the batch's tokens: (tokens, embed_dim).
  Slot embed(std::string_view name) {
    return push({.op = Op::embed,
                 .out = buffer(config_.embed_dim),
                 .a = {},
                 .b = {},
                 .w = weight(name),
                 .args = {.scale = static_cast<float>(config_.embedding_scale)}});
  }

  // RMS norm over the whole width, into a new buffer.
  Slot norm(Slot x, std::string_view name, Rows rows = Rows::tokens) {
    return norm_into(buffer(x.width, rows), x, name, x.width);
  }

  // out = (name.weight * x + name.bias, where there is one) * scale, into columns of a buffer.
  Slot linear_into(Slot out, Slot x, std::string_view name, float scale = 1.0f) {
    const WeightId id = weight(name);
    return push({.op = Op::matmul,
                 .out = out,
                 .a = in_order(x, id),
                 .b = {},
                 .w = id,
                 .args = {.bias = weights_.find(std::string(name) + ".bias"), .scale = scale}});
  }

  Slot linear(Slot x, std::string_view name, float scale = 1.0f) {
    const auto rows = static_cast<std::uint32_t>(weights_[weight(name)].tensor.shape[0]);
    return linear_into(buffer(rows, plan_.buffers[x.buffer].rows), x, name, scale);
  }

  // x + y, in x's place: the residual stream. y may hold several of x's width, as experts leave them.
  Slot add(Slot x, Slot y) {
    return push({.op = Op::add, .out = x, .a = x, .b = y, .w = no_weight, .args = {}});
  }

  // Grouped-query attention with rotary positions over the cache of one layer, output projection included.
  // Where the layer has such weights: q, k and v from one matrix, and heads of q and k normalised.
  Slot attention(Slot x, const Layer& layer, const AttentionOptions& options) {
    const std::uint32_t hd = config_.head_dim, n_q = config_.n_heads * hd, n_kv = config_.n_kv_heads * hd;
    const Slot qkv = buffer(n_q + 2 * n_kv);
    const Slot q = qkv.part(0, n_q), k = qkv.part(n_q, n_kv), v = qkv.part(n_q + n_kv, n_kv);
    if (has(layer("attn_qkv"))) {
      linear_into(qkv, x, layer("attn_qkv"));
    } else {
      linear_into(q, x, layer("attn_q"));
      linear_into(k, x, layer("attn_k"));
      linear_into(v, x, layer("attn_v"));
    }
    if (has(layer("attn_q_norm"))) norm_into(q, q, layer("attn_q_norm"), hd);
    if (has(layer("attn_k_norm"))) norm_into(k, k, layer("attn_k_norm"), hd);
    if (options.rope != no_rope) {
      rope(q, config_.n_heads, options.rope);
      rope(k, config_.n_kv_heads, options.rope);
    }

    const double scale = config_.attention_scale != 0 ? config_.attention_scale : 1 / std::sqrt(hd);
    Args args{.scale = static_cast<float>(scale),
              .softcap = static_cast<float>(config_.attention_softcap),
              .layer = static_cast<std::uint32_t>(plan_.kv.size()),
              .n_heads = config_.n_heads,
              .n_kv_heads = config_.n_kv_heads,
              .head_dim = hd,
              .window = options.window};
    plan_.kv.push_back({.n_kv_heads = config_.n_kv_heads, .head_dim = hd, .window = options.window});
    const Slot out = buffer(n_q);
    push({.op = Op::attend,
          .out = out,
          .a = q,
          .b = qkv.part(n_q, 2 * n_kv),
          .w = weights_.find(layer("attn_sinks.weight")),
          .args = args});
    return linear(out, layer("attn_output"), residual_scale_);
  }

  // down( activation(gate x) * up x ). Without a gate matrix, up holds both, gate first.
  Slot gated_mlp(Slot x, const Layer& layer, Activation activation) {
    const std::uint32_t n = config_.ffn_dim;
    const Slot both = buffer(2 * n), gate = both.part(0, n), up = both.part(n, n);
    if (has(layer("ffn_gate"))) {
      linear_into(gate, x, layer("ffn_gate"));
      linear_into(up, x, layer("ffn_up"));
    } else {
      linear_into(both, x, layer("ffn_up"));
    }
    push({.op = Op::gate,
          .out = gate,
          .a = gate,
          .b = up,
          .w = no_weight,
          .args = {.activation = activation}});
    return linear(gate, layer("ffn_down"), residual_scale_);
  }

  // For each of the token's experts weight * down( activation(gate x) * up x ): (tokens, n_experts_used,
  // embed_dim), yet to be added.
  Slot expert_mlp(Slot x, const Layer& layer, Activation activation) {
    const std::uint32_t used = config_.n_experts_used, n = used * config_.expert_ffn_dim;
    const Slot scores = linear(x, layer("ffn_gate_inp"));
    const Slot chosen = push(
        {.op = Op::route,
         .out = buffer(2 * used),
         .a = scores,
         .b = {},
         .w = no_weight,
         .args = {.n_experts = config_.n_experts, .n_used = used, .softmax_all = !config_.normed_experts}});
    const Slot both = buffer(2 * n);
    const Slot gate = experts_into(both.part(0, n), x, chosen, layer("ffn_gate_exps"), false);
    const Slot up = experts_into(both.part(n, n), x, chosen, layer("ffn_up_exps"), false);
    push({.op = Op::gate,
          .out = gate,
          .a = gate,
          .b = up,
          .w = no_weight,
          .args = {.activation = activation}});
    return experts_into(buffer(used * config_.embed_dim), gate, chosen, layer("ffn_down_exps"), true);
  }

  // The last norm, on the rows that want logits only, and the output matrix: `tied` where the file has no own
  // one.
  Plan finish(Slot x, std::string_view norm_name, std::string_view output, std::string_view tied) {
    const Slot last = norm(x, norm_name, Rows::outputs);
    plan_.logits = linear(last, has(output) ? output : tied, static_cast<float>(config_.logit_scale));
    plan_.steps.back().args.softcap = static_cast<float>(config_.logit_softcap);
    return std::move(plan_);
  }

 private:
  WeightId weight(std::string_view name) const { return weights_.get(std::string(name) + ".weight"); }
  bool has(std::string_view name) const { return weights_.find(std::string(name) + ".weight") != no_weight; }

  // Every `group` columns normalised together.
  Slot norm_into(Slot out, Slot x, std::string_view name, std::uint32_t group) {
    return push({.op = Op::norm,
                 .out = out,
                 .a = x,
                 .b = {},
                 .w = weight(name),
                 .args = {.eps = static_cast<float>(config_.norm_eps), .group = group}});
  }

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

  Slot experts_into(Slot out, Slot x, Slot chosen, std::string_view name, bool weighted) {
    return push({.op = Op::matmul,
                 .out = out,
                 .a = x,
                 .b = chosen,
                 .w = weight(name),
                 .args = {.bias = weights_.find(std::string(name) + ".bias"),
                          .n_experts = config_.n_experts,
                          .n_used = config_.n_experts_used,
                          .weighted = weighted}});
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
  float residual_scale_;
  Plan plan_;
};

}  // namespace nibble::inline v0
