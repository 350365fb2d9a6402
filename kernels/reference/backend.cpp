// The reference backend: every op as its definition reads, one thread, float or, on request, double.
// What all other backends are compared with; slow, and meant to be read.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include <Eigen/Core>

#include "kernels/backends.hpp"
#include "nibble/backend/check.hpp"
#include "nibble/backend/kv_page.hpp"
#include "nibble/core/checked.hpp"
#include "nibble/core/error.hpp"
#include "nibble/quant/formats.hpp"

namespace nibble::inline v0::reference {

namespace {

template <class T>
using Row = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;

std::uint64_t bytes_of(std::uint64_t a, std::uint64_t b) {
  const auto product = checked_mul(a, b);
  if (!product) throw Error({.code = ErrorCode::limit, .source = "reference backend", .field = "bytes"});
  return *product;
}

template <class T>
T gated(T a, T b, Activation activation) {
  if (activation == Activation::silu) return a / (1 + std::exp(-a)) * b;
  if (activation == Activation::clamped_swish) {
    a = std::min(a, T(7));
    return a / (1 + std::exp(T(-1.702) * a)) * (std::clamp(b, T(-7), T(7)) + 1);
  }
  const T slope = std::sqrt(2 / std::numbers::pi_v<T>);
  return T(0.5) * a * (1 + std::tanh(slope * (a + T(0.044715) * a * a * a))) * b;
}

template <class T>
T soft_cap(T x, float cap) {
  return cap == 0 ? x : cap * std::tanh(x / cap);
}

// T: the type of every buffer and of all arithmetic. Keys and values are kept in the cache's own type.
template <class T>
class ReferenceBackend final : public Backend {
 public:
  explicit ReferenceBackend(const BackendOptions& options) : options_(options) {}

  std::string_view name() const noexcept override {
    return sizeof(T) == sizeof(double) ? "reference/float64" : "reference/float32";
  }
  std::uint32_t threads() const noexcept override { return 1; }

  MemoryUse plan_memory(const Plan& plan, const Weights& weights) const override {
    return translate_errors([&] {
      check_plan(plan, weights);
      MemoryUse use;
      for (const Extent& extent : plan.buffers) use.activations += bytes_of(elements(extent), sizeof(T));
      for (WeightId id = 0; id < weights.size(); ++id) {
        if (is_used(plan, id)) use.mapped += weights[id].tensor.bytes.size();
      }
      use.kv = bytes_of(kv_page_bytes(plan.kv, options_.kv_type), options_.kv_pages);
      return use;
    });
  }

  std::vector<WeightPlacement> placements(const Plan&, const Weights& weights) const override {
    return translate_errors([&] {
      std::vector<WeightPlacement> placements;
      for (WeightId id = 0; id < weights.size(); ++id) {
        placements.push_back({"reference", weights[id].tensor.bytes.size(), true});
      }
      return placements;
    });
  }

  void prepare(const Plan& plan, const Weights& weights, const Watch&) override {
    translate_errors([&] {
      check_plan(plan, weights);
      const std::uint64_t page_bytes = kv_page_bytes(plan.kv, options_.kv_type);
      std::vector<std::vector<T>> buffers;
      for (const Extent& extent : plan.buffers) buffers.emplace_back(elements(extent));
      std::vector<std::byte> pool(bytes_of(page_bytes, options_.kv_pages));
      buffers_ = std::move(buffers);
      pool_ = std::move(pool);
      page_bytes_ = page_bytes;
      plan_ = &plan;
      weights_ = &weights;
    });
  }

  void run(const Batch& batch, std::span<float> logits, const std::stop_token& stop) override {
    translate_errors([&] {
      check_batch(batch, *plan_, *weights_, options_, logits.size());
      batch_ = &batch;
      stop_ = &stop;
      for (const Step& s : plan_->steps) step(s);
      const std::vector<T>& result = buffers_[plan_->logits.buffer];
      std::transform(result.begin(), result.begin() + static_cast<std::ptrdiff_t>(logits.size()),
                     logits.begin(), [](T value) { return static_cast<float>(value); });
    });
  }

  void copy_pages(std::span<const PageCopy> copies) override {
    for (const PageCopy& copy : copies) std::memcpy(page(copy.to), page(copy.from), page_bytes_);
  }
  void read_page(PageId id, std::span<std::byte> out) const override {
    std::memcpy(out.data(), pool_.data() + id * page_bytes_, out.size());
  }
  void write_page(PageId id, std::span<const std::byte> in) override {
    std::memcpy(page(id), in.data(), in.size());
  }

 private:
  std::uint64_t elements(const Extent& extent) const {
    return bytes_of(extent.rows == Rows::tokens ? options_.max_tokens : options_.max_outputs, extent.width);
  }
  static bool is_used(const Plan& plan, WeightId id) {
    return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& s) {
      const auto names = [&](WeightId first) {
        return first != no_weight && first <= id && id - first < n_matrices(s);
      };
      return names(s.w) || (s.op == Op::matmul && names(s.args.bias));
    });
  }

  std::byte* page(PageId id) { return pool_.data() + id * page_bytes_; }

  std::uint32_t n_rows(const Slot& slot) const {
    const bool tokens = plan_->buffers[slot.buffer].rows == Rows::tokens;
    return static_cast<std::uint32_t>(tokens ? batch_->tokens.size() : batch_->outputs.size());
  }
  // Row i of a slot; in the second form, the row that belongs to row i of `out`.
  T* at(const Slot& slot, std::uint32_t i) {
    return buffers_[slot.buffer].data() + std::size_t{i} * plan_->buffers[slot.buffer].width + slot.offset;
  }
  T* at(const Slot& slot, const Slot& out, std::uint32_t i) {
    const bool tokens = plan_->buffers[slot.buffer].rows == Rows::tokens;
    return at(slot, tokens ? token(out, i) : i);
  }
  std::uint32_t token(const Slot& slot, std::uint32_t i) const {
    return token_of(*batch_, plan_->buffers[slot.buffer].rows, i);
  }
  void throw_if_stopped() const {
    if (stop_->stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = "reference backend"});
  }

  // Row `row` of a weight, decoded.
  Eigen::Array<T, Eigen::Dynamic, 1> decode(WeightId id, std::uint64_t row) const {
    const Tensor& tensor = (*weights_)[id].tensor;
    const Format& format = *find_format(tensor.dtype);
    const std::uint64_t cols = tensor.shape.cols();
    Eigen::ArrayXf values(static_cast<Eigen::Index>(cols));
    format.decode(tensor.bytes.data() + row * row_bytes(format, cols), values.data(), cols);
    return values.cast<T>();
  }

  void step(const Step& s) {
    throw_if_stopped();
    switch (s.op) {
      case Op::embed: return embed(s);
      case Op::norm: return norm(s);
      case Op::matmul: return s.args.n_experts == 0 ? matmul(s) : expert_matmul(s);
      case Op::route: return route(s);
      case Op::rope: return rope(s);
      case Op::attend: return attend(s);
      case Op::gate: return gate(s);
      case Op::add: return add(s);
      case Op::gather: return gather(s);
    }
  }

  void embed(const Step& s) {
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      const auto row = static_cast<std::uint64_t>(batch_->tokens[i]);
      Row<T>(at(s.out, i), s.out.width) = decode(s.w, row) * T(s.args.scale);
    }
  }

  void norm(const Step& s) {
    const auto weight = decode(s.w, 0);
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      for (std::uint32_t c = 0; c < s.out.width; c += s.args.group) {
        const Row<T> in(at(s.a, s.out, i) + c, s.args.group);
        const T scale = 1 / std::sqrt(in.square().mean() + T(s.args.eps));
        Row<T>(at(s.out, i) + c, s.args.group) = in * scale * weight;
      }
    }
  }

  void matmul(const Step& s) {
    const bool has_bias = s.args.bias != no_weight;
    Eigen::Array<T, Eigen::Dynamic, 1> bias;
    if (has_bias) bias = decode(s.args.bias, 0);
    for (std::uint32_t r = 0; r < s.out.width; ++r) {
      throw_if_stopped();
      const auto weight = decode(s.w, r);
      for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
        const T dot = (Row<T>(at(s.a, s.out, i), s.a.width) * weight).sum();
        at(s.out, i)[r] = soft_cap((has_bias ? dot + bias[r] : dot) * T(s.args.scale), s.args.softcap);
      }
    }
  }

  void expert_matmul(const Step& s) {
    const std::uint32_t n = s.args.n_used, rows = s.out.width / n;
    const auto cols = static_cast<std::uint32_t>((*weights_)[s.w].tensor.shape.cols());
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      for (std::uint32_t j = 0; j < n; ++j) {
        throw_if_stopped();
        const T* routed = at(s.b, s.out, i);
        const auto expert = static_cast<WeightId>(routed[j]);
        const Row<T> in(at(s.a, s.out, i) + (s.a.width == cols ? 0 : j * cols), cols);
        Row<T> out(at(s.out, i) + j * rows, rows);
        for (std::uint32_t r = 0; r < rows; ++r) out[r] = (in * decode(s.w + expert, r)).sum();
        if (s.args.bias != no_weight) out += decode(s.args.bias + expert, 0);
        if (s.args.weighted) out *= routed[n + j];
      }
    }
  }

  void route(const Step& s) {
    const std::uint32_t n = s.args.n_used;
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      const Row<T> scores(at(s.a, s.out, i), s.a.width);
      Row<T> experts(at(s.out, i), n), weights(at(s.out, i) + n, n);
      std::vector<bool> taken(s.a.width);
      for (std::uint32_t j = 0; j < n; ++j) {
        std::size_t best = s.a.width;
        for (std::size_t e = 0; e < s.a.width; ++e) {
          if (!taken[e] && (best == s.a.width || scores[e] > scores[best])) best = e;
        }
        taken[best] = true;
        experts[j] = static_cast<T>(best);
        weights[j] = scores[best];
      }
      const T largest = weights[0];
      weights = (weights - largest).exp().eval();
      weights /= s.args.softmax_all ? (scores - largest).exp().sum() : weights.sum();
    }
  }

  void rope(const Step& s) {
    const RopeTable& table = plan_->ropes[s.args.rope];
    const std::size_t pairs = table.inverse_frequency.size();
    const bool adjacent = table.pairs == RopePairs::adjacent;
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      for (std::size_t j = 0; j < pairs; ++j) {
        const auto position = static_cast<float>(batch_->positions[token(s.out, i)]);
        const double angle = position * table.inverse_frequency[j];
        const T cos = static_cast<T>(std::cos(angle)) * table.magnitude;
        const T sin = static_cast<T>(std::sin(angle)) * table.magnitude;
        for (std::uint32_t h = 0; h < s.args.n_heads; ++h) {
          T* head = at(s.out, i) + std::size_t{h} * s.args.head_dim;
          T& first = head[adjacent ? 2 * j : j];
          T& second = head[adjacent ? 2 * j + 1 : j + pairs];
          const T x = first, y = second;
          first = x * cos - y * sin;
          second = x * sin + y * cos;
        }
      }
    }
  }

  // A head's keys or values in the page that holds a position.
  std::byte* cached(const Step& s, const KvSequence& kv, std::uint32_t position, KvPart part,
                    std::uint32_t head) {
    const std::size_t heads_before = (part == KvPart::keys ? 0 : s.args.n_kv_heads) + head;
    return page(kv.pages[s.args.layer][position / kv_page_size]) +
           heads_before * kv_head_bytes(options_.kv_type, s.args.head_dim);
  }

  void attend(const Step& s) {
    const std::uint32_t heads = s.args.n_kv_heads, head_dim = s.args.head_dim;
    for (std::uint32_t t = 0; t < batch_->tokens.size(); ++t) {
      const KvSequence& kv = *batch_->sequences[batch_->sequence[t]].kv;
      for (std::uint32_t h = 0; h < 2 * heads; ++h) {
        const Eigen::ArrayXf row = Row<T>(at(s.b, t) + h * head_dim, head_dim).template cast<float>();
        const KvPart part = h < heads ? KvPart::keys : KvPart::values;
        const std::uint32_t position = batch_->positions[t];
        write_slot(options_.kv_type, part, head_dim, position % kv_page_size, row.data(),
                   cached(s, kv, position, part, h % heads));
      }
    }
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      for (std::uint32_t h = 0; h < heads; ++h) {
        throw_if_stopped();
        attend_head(s, i, h);
      }
    }
  }

  // All query heads that share one KV head, for one token.
  void attend_head(const Step& s, std::uint32_t i, std::uint32_t kv_head) {
    const std::uint32_t t = token(s.out, i), end = batch_->positions[t] + 1, head_dim = s.args.head_dim;
    const std::uint32_t begin = s.args.window == 0 || end < s.args.window ? 0 : end - s.args.window;
    const KvSequence& kv = *batch_->sequences[batch_->sequence[t]].kv;
    const auto load = [&](KvPart part) {
      Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic> rows(head_dim, end - begin);
      for (std::uint32_t p = begin; p < end; ++p) {
        read_slot(options_.kv_type, part, head_dim, p % kv_page_size, cached(s, kv, p, part, kv_head),
                  rows.col(p - begin).data());
      }
      return rows.template cast<T>().eval();
    };
    const auto keys = load(KvPart::keys), values = load(KvPart::values);
    const std::uint32_t group = s.args.n_heads / s.args.n_kv_heads;
    const bool has_sinks = s.w != no_weight;
    Eigen::Array<T, Eigen::Dynamic, 1> sinks;
    if (has_sinks) sinks = decode(s.w, 0);
    for (std::uint32_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
      const Row<T> q(at(s.a, s.out, i) + std::size_t{h} * head_dim, head_dim);
      Eigen::Array<T, Eigen::Dynamic, 1> scores(end - begin);
      for (Eigen::Index p = 0; p < scores.size(); ++p)
        scores[p] = soft_cap((q * keys.col(p)).sum() * T(s.args.scale), s.args.softcap);
      const T largest = has_sinks ? std::max(scores.maxCoeff(), sinks[h]) : scores.maxCoeff();
      scores = (scores - largest).exp().eval();
      scores /= scores.sum() + (has_sinks ? std::exp(sinks[h] - largest) : T(0));
      Row<T> out(at(s.out, i) + std::size_t{h} * head_dim, head_dim);
      out.setZero();
      for (Eigen::Index p = 0; p < scores.size(); ++p) out += values.col(p) * scores[p];
    }
  }

  void gate(const Step& s) {
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      const T *a = at(s.a, s.out, i), *b = at(s.b, s.out, i);
      for (std::uint32_t c = 0; c < s.out.width; ++c) at(s.out, i)[c] = gated(a[c], b[c], s.args.activation);
    }
  }

  void add(const Step& s) {
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      Row<T> out(at(s.out, i), s.out.width);
      out = Row<T>(at(s.a, s.out, i), s.out.width) + Row<T>(at(s.b, s.out, i), s.out.width);
      for (std::uint32_t c = s.out.width; c < s.b.width; c += s.out.width)
        out += Row<T>(at(s.b, s.out, i) + c, s.out.width);
    }
  }

  void gather(const Step& s) {
    const std::vector<std::uint32_t>& order = plan_->orders[s.args.order];
    for (std::uint32_t i = 0; i < n_rows(s.out); ++i) {
      for (std::uint32_t c = 0; c < s.out.width; ++c) at(s.out, i)[c] = at(s.a, s.out, i)[order[c]];
    }
  }

  BackendOptions options_;
  const Plan* plan_ = nullptr;
  const Weights* weights_ = nullptr;
  std::vector<std::vector<T>> buffers_;  // by the plan's buffers
  std::vector<std::byte> pool_;
  std::uint64_t page_bytes_ = 0;
  const Batch* batch_ = nullptr;  // while run() is on
  const std::stop_token* stop_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.float64) return std::make_unique<ReferenceBackend<double>>(options);
  return std::make_unique<ReferenceBackend<float>>(options);
}

}  // namespace nibble::inline v0::reference
