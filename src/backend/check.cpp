// Plans and batches held against what their ops mean, once for all backends.
// After this, a backend indexes without looking.
#include "nibble/backend/check.hpp"

#include <string>

#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint32_t most_experts = 1 << 20;

class PlanCheck {
 public:
  PlanCheck(const Plan& plan, const Weights& weights) : plan_(plan), weights_(weights) {}

  void run() {
    for (number_ = 0; number_ < plan_.steps.size(); ++number_) step(plan_.steps[number_]);
    const Slot& logits = plan_.logits;
    slot(logits, "logits");
    const Extent& buffer = plan_.buffers[logits.buffer];
    demand(buffer.rows == Rows::outputs && logits.width == plan_.vocab_size &&
               buffer.width == plan_.vocab_size && logits.offset == 0,
           "logits");
  }

 private:
  void demand(bool holds, const char* what) const {
    if (!holds) fail(ErrorCode::internal, what);
  }
  [[noreturn]] void fail(ErrorCode code, std::string what) const {
    throw Error({.code = code,
                 .source = "plan",
                 .position = "step " + std::to_string(number_),
                 .field = std::move(what)});
  }

  void slot(const Slot& s, const char* what) const {
    demand(s.buffer < plan_.buffers.size() && s.width > 0 &&
               std::uint64_t{s.offset} + s.width <= plan_.buffers[s.buffer].width,
           what);
  }
  // An input: alive, and with a row for each row of the output.
  void input(const Slot& s, const Slot& out, const char* what) const {
    slot(s, what);
    const Extent& from = plan_.buffers[s.buffer];
    demand(from.first_step <= number_ && number_ <= from.last_step, what);
    demand(from.rows == Rows::tokens || plan_.buffers[out.buffer].rows == Rows::outputs, what);
  }

  const Format& known(WeightId id) const {
    demand(id < weights_.size(), "weight");
    const Tensor& tensor = weights_[id].tensor;
    const Format* format = find_format(tensor.dtype);
    if (format == nullptr || tensor.shape.cols() % format->block_size != 0) {
      fail(ErrorCode::unsupported, tensor.name);
    }
    demand(tensor.bytes.size() >= tensor.shape.rows() * row_bytes(*format, tensor.shape.cols()), "weight");
    return *format;
  }
  void matrix(WeightId id, std::uint64_t cols) const {
    known(id);
    const Shape& shape = weights_[id].tensor.shape;
    demand(shape.rank() == 2 && shape.rows() > 0 && shape.cols() == cols, "weight");
  }
  void vector(WeightId id, std::uint64_t size) const {
    if (known(id).codes.group != 0) fail(ErrorCode::unsupported, weights_[id].tensor.name);
    demand(weights_[id].tensor.shape.elements() == size, "weight");
  }

  void step(const Step& s) const {
    slot(s.out, "out");
    const Extent& out = plan_.buffers[s.out.buffer];
    demand(out.first_step <= number_ && number_ <= out.last_step, "out");
    if (s.op != Op::embed) input(s.a, s.out, "a");
    switch (s.op) {
      case Op::embed: demand(out.rows == Rows::tokens, "out"); return matrix(s.w, s.out.width);
      case Op::norm:
        demand(s.args.group > 0 && s.out.width % s.args.group == 0 && s.a.width == s.out.width, "group");
        return vector(s.w, s.args.group);
      case Op::matmul: return s.args.n_experts == 0 ? matmul(s) : expert_matmul(s);
      case Op::route: return route(s);
      case Op::rope: return rope(s);
      case Op::attend: return attend(s);
      case Op::gate:
      case Op::add:
        input(s.b, s.out, "b");
        demand(s.a.width == s.out.width, "width");
        return demand(s.b.width == s.out.width ||
                          (s.op == Op::add && s.b.width % s.out.width == 0 && s.b.buffer != s.out.buffer),
                      "width");
      case Op::gather: return gather(s);
    }
    fail(ErrorCode::unsupported, "op " + std::to_string(static_cast<int>(s.op)));
  }

  void matmul(const Step& s) const {
    matrix(s.w, s.a.width);
    demand(weights_[s.w].tensor.shape.rows() == s.out.width, "out");
    demand(s.a.buffer != s.out.buffer, "out");
    if (s.args.bias != no_weight) vector(s.args.bias, s.out.width);
  }

  // Numbers of experts are kept as floats.
  void route(const Step& s) const {
    const Args& g = s.args;
    demand(g.n_used > 0 && g.n_used <= g.n_experts && g.n_experts <= most_experts, "experts");
    demand(s.a.width == g.n_experts && s.out.width == 2 * g.n_used, "width");
    demand(s.a.buffer != s.out.buffer, "out");
  }

  // What a buffer says of experts is believed, so it must be what a route wrote last.
  const Step& routed(const Slot& slot) const {
    std::size_t i = number_;
    while (i > 0 && plan_.steps[i - 1].out.buffer != slot.buffer) --i;
    demand(i > 0 && plan_.steps[i - 1].op == Op::route && plan_.steps[i - 1].out == slot, "b");
    return plan_.steps[i - 1];
  }

  void expert_matmul(const Step& s) const {
    const Args& g = s.args;
    input(s.b, s.out, "b");
    const Args& route = routed(s.b).args;
    demand(route.n_experts == g.n_experts && route.n_used == g.n_used, "experts");
    demand(g.scale == 1.0f && g.softcap == 0.0f, "scale");
    demand(s.out.width % g.n_used == 0 && s.a.buffer != s.out.buffer && s.b.buffer != s.out.buffer, "out");
    demand(s.w < weights_.size() && g.n_experts <= weights_.size() - s.w, "weight");
    const std::uint32_t rows = s.out.width / g.n_used;
    const std::uint64_t cols = weights_[s.w].tensor.shape.cols();
    demand(s.a.width == cols || s.a.width == cols * g.n_used, "width");
    for (std::uint32_t e = 0; e < g.n_experts; ++e) {
      matrix(s.w + e, cols);
      const Tensor& tensor = weights_[s.w + e].tensor;
      demand(tensor.shape.rows() == rows && tensor.dtype == weights_[s.w].tensor.dtype, "out");
      if (g.bias != no_weight) vector(g.bias + e, rows);
    }
  }

  void rope(const Step& s) const {
    demand(s.out == s.a, "out");
    demand(s.args.rope < plan_.ropes.size(), "rope");
    demand(s.a.width == std::uint64_t{s.args.n_heads} * s.args.head_dim, "width");
    demand(2 * plan_.ropes[s.args.rope].inverse_frequency.size() <= s.args.head_dim, "rope");
  }

  void attend(const Step& s) const {
    const Args& g = s.args;
    input(s.b, s.out, "b");
    demand(plan_.buffers[s.b.buffer].rows == Rows::tokens, "b");
    demand(g.layer < plan_.kv.size() && g.n_kv_heads > 0 && g.n_heads % g.n_kv_heads == 0, "layer");
    const KvLayer& layer = plan_.kv[g.layer];
    demand(layer.n_kv_heads == g.n_kv_heads && layer.head_dim == g.head_dim && layer.window == g.window,
           "layer");
    demand(s.a.width == std::uint64_t{g.n_heads} * g.head_dim && s.a.width == s.out.width, "width");
    demand(s.b.width == std::uint64_t{2} * g.n_kv_heads * g.head_dim, "width");
    demand(s.out.buffer != s.a.buffer && s.out.buffer != s.b.buffer, "out");
    if (s.w != no_weight) vector(s.w, g.n_heads);
  }

  void gather(const Step& s) const {
    demand(s.out.buffer != s.a.buffer, "out");
    demand(s.args.order < plan_.orders.size(), "order");
    const std::vector<std::uint32_t>& order = plan_.orders[s.args.order];
    demand(order.size() == s.out.width, "order");
    for (const std::uint32_t column : order) demand(column < s.a.width, "order");
  }

  const Plan& plan_;
  const Weights& weights_;
  std::size_t number_ = 0;
};

void demand_batch(bool holds, const char* field) {
  if (!holds) throw Error({.code = ErrorCode::invalid_argument, .source = "batch", .field = field});
}

// Positions [begin, end) that a layer's queries will read or write all have pages.
void check_pages(const KvSequence& kv, const Plan& plan, std::uint64_t end, std::uint32_t kv_pages) {
  demand_batch(kv.pages.size() == plan.kv.size(), "pages");
  for (std::size_t layer = 0; layer < plan.kv.size(); ++layer) {
    const std::uint32_t begin = first_visible(plan.kv[layer], kv.length);
    demand_batch(kv.pages[layer].size() * std::uint64_t{kv_page_size} >= end, "pages");
    for (std::uint64_t page = begin / kv_page_size; page * kv_page_size < end; ++page) {
      demand_batch(kv.pages[layer][page] < kv_pages, "pages");
    }
  }
}

}  // namespace

void check_plan(const Plan& plan, const Weights& weights) { PlanCheck(plan, weights).run(); }

void check_batch(const Batch& batch, const Plan& plan, const Weights& weights, const BackendOptions& options,
                 std::uint64_t n_logits) {
  const std::size_t n = batch.tokens.size();
  demand_batch(n <= options.max_tokens, "tokens");
  demand_batch(batch.positions.size() == n && batch.sequence.size() == n, "positions");
  demand_batch(batch.outputs.size() <= options.max_outputs, "outputs");
  demand_batch(n_logits == batch.outputs.size() * std::uint64_t{plan.vocab_size}, "logits");
  for (std::size_t i = 0; i < batch.outputs.size(); ++i) {
    demand_batch(batch.outputs[i] < n && (i == 0 || batch.outputs[i - 1] < batch.outputs[i]), "outputs");
  }
  for (const Step& step : plan.steps) {
    if (step.op != Op::embed) continue;
    for (std::int32_t token : batch.tokens) {
      demand_batch(token >= 0 && static_cast<std::uint32_t>(token) < weights[step.w].tensor.shape.rows(),
                   "tokens");
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t sequence = batch.sequence[i];
    demand_batch(sequence < batch.sequences.size(), "sequence");
    const KvSequence& kv = *batch.sequences[sequence].kv;
    const bool first = i == 0 || batch.sequence[i - 1] != sequence;
    demand_batch(batch.positions[i] == (first ? kv.length : batch.positions[i - 1] + 1), "positions");
    const bool last = i + 1 == n || batch.sequence[i + 1] != sequence;
    if (last) check_pages(kv, plan, std::uint64_t{batch.positions[i]} + 1, options.kv_pages);
  }
}

}  // namespace nibble::inline v0
