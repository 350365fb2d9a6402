// Opening a model: checkpoint, architecture, hyperparameters, weights, plan, tokenizer, in that order.
// Joins the left half of the flow; everything a file can get wrong has been found when it returns.
#include "nibble/model.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "src/checksum.hpp"

namespace nibble::inline v0 {

struct Model::State {
  Checkpoint checkpoint;
  const Architecture* architecture;
  Config config;
  Weights weights;
  Plan plan;
  Tokenizer tokenizer;
  Limits limits;
  std::uint64_t fingerprint;
};

namespace {

// The tokenizer may know fewer tokens than the model has rows (padding), never more.
void check_vocabulary(const Checkpoint& checkpoint, const Config& config, const Tokenizer& tokenizer) {
  if (tokenizer.size() <= config.vocab_size) return;
  throw Error(
      {.code = ErrorCode::shape_mismatch,
       .source = checkpoint.source,
       .field = "vocabulary",
       .found = std::to_string(config.vocab_size) + " embedding rows",
       .allowed = "a row for each of the tokenizer's " + std::to_string(tokenizer.size()) + " tokens"});
}

void add(Checksum& sum, const Slot& slot) {
  sum.add(slot.buffer);
  sum.add(slot.offset);
  sum.add(slot.width);
}

void add(Checksum& sum, const Step& step) {
  sum.add(step.op);
  for (const Slot& slot : {step.out, step.a, step.b}) add(sum, slot);
  const Args& a = step.args;
  for (const std::uint32_t n : {step.w, a.bias, a.group, a.rope, a.layer, a.n_heads, a.n_kv_heads, a.head_dim,
                                a.window, a.order, static_cast<std::uint32_t>(a.activation), a.n_experts,
                                a.n_used, std::uint32_t{a.weighted}, std::uint32_t{a.softmax_all}})
    sum.add(n);
  for (const float f : {a.scale, a.softcap, a.eps}) sum.add(f);
}

// First, middle and last bytes of each tensor: cheap for any size of model, and enough to tell two
// fine-tunings of one model apart.
void add(Checksum& sum, const Tensor& tensor) {
  sum.add(tensor.name);
  sum.add(tensor.dtype);
  for (std::size_t i = 0; i < tensor.shape.rank(); ++i) sum.add(tensor.shape[i]);
  const std::size_t n = std::min<std::size_t>(tensor.bytes.size(), 64);
  sum.add(tensor.bytes.first(n));
  sum.add(tensor.bytes.subspan((tensor.bytes.size() - n) / 2, n));
  sum.add(tensor.bytes.last(n));
}

std::uint64_t make_fingerprint(const Plan& plan, const Weights& weights) {
  Checksum sum;
  for (const Step& step : plan.steps) add(sum, step);
  for (const RopeTable& rope : plan.ropes) {
    sum.add(rope.pairs);
    sum.add(rope.magnitude);
    sum.add(std::as_bytes(std::span(rope.inverse_frequency)));
  }
  for (const auto& order : plan.orders) sum.add(std::as_bytes(std::span(order)));
  for (WeightId id = 0; id < weights.size(); ++id) add(sum, weights[id].tensor);
  return sum.value();
}

}  // namespace

Model Model::open(const std::filesystem::path& path, const ModelOptions& options) {
  return translate_errors([&] {
    Checkpoint checkpoint = Checkpoint::open(path, options.load, options.limits, options.watch);
    const Architecture& architecture = find_architecture(checkpoint);
    Config config = architecture.config(ConfigReader(checkpoint, architecture.name, options.limits));
    Weights weights = Weights::resolve(checkpoint, architecture.tensors(config), config);
    Plan plan = architecture.plan(config, weights);
    Tokenizer tokenizer = Tokenizer::load(checkpoint, options.limits);
    check_vocabulary(checkpoint, config, tokenizer);
    const std::uint64_t fingerprint = make_fingerprint(plan, weights);
    for (const auto& file : weights.files()) file->release(file->bytes());  // what was looked at so far
    return Model(std::make_shared<const State>(State{std::move(checkpoint), &architecture, std::move(config),
                                                     std::move(weights), std::move(plan),
                                                     std::move(tokenizer), options.limits, fingerprint}));
  });
}

Model::Model(std::shared_ptr<const State> state) noexcept : state_(std::move(state)) {}

const Checkpoint& Model::checkpoint() const noexcept { return state_->checkpoint; }
const Config& Model::config() const noexcept { return state_->config; }
const Weights& Model::weights() const noexcept { return state_->weights; }
const Plan& Model::plan() const noexcept { return state_->plan; }
Plan Model::plan(std::uint32_t context) const {
  return translate_errors([&] {
    Config config = state_->config;
    config.rope.context = config.local_rope.context = context;
    return state_->architecture->plan(config, state_->weights);
  });
}
const Tokenizer& Model::tokenizer() const noexcept { return state_->tokenizer; }
const Limits& Model::limits() const noexcept { return state_->limits; }
std::uint64_t Model::fingerprint() const noexcept { return state_->fingerprint; }

}  // namespace nibble::inline v0
