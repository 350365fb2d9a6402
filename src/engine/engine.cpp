// Engine and Sequence: the handles, sequences' lives, saved states.
// Between Session and a backend; steps are in step.cpp.
#include "nibble/engine.hpp"

#include <cassert>
#include <cstring>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "src/checksum.hpp"
#include "src/engine/engine_state.hpp"

namespace nibble::inline v0 {
namespace {

Error bad_sequence(std::string found) {
  return Error({.code = ErrorCode::invalid_argument,
                .source = "engine",
                .field = "sequence",
                .found = std::move(found),
                .allowed = "a sequence of this engine"});
}

void check_files(const Model& model) {
  for (const auto& file : model.weights().files()) file->check_unchanged();
}

// Settled and prepared: the large memory is taken first, and may fail before anything is touched.
EngineSettings prepare(const Model& model, const EngineOptions& options) {
  EngineSettings settings = settle(model, options);
  check_files(model);
  settings.backend->prepare(*settings.model_plan, model.weights(), settings.options.watch);
  check_files(model);
  return settings;
}

}  // namespace

Engine::State::State(const Model& opened, const EngineOptions& options)
    : model(opened), settings(prepare(opened, options)), cache(opened.plan().kv, settings.plan.kv_pages) {}

Sequence::State& Engine::State::own(const Sequence* sequence) const {
  if (sequence == nullptr || sequence->state_ == nullptr) throw bad_sequence("none");
  if (sequence->state_->engine.get() != this) throw bad_sequence("another engine's");
  return *sequence->state_;
}

void Engine::State::check_free() const {
  if (n_sequences == settings.options.sequences)
    throw Error({.code = ErrorCode::limit,
                 .source = "engine",
                 .field = "sequences",
                 .found = std::to_string(n_sequences) + " in use",
                 .allowed = std::to_string(settings.options.sequences)});
}

// The part of a backend's name that says how its pages lie: its tiers share that.
StateKey Engine::State::state_key() const {
  Checksum layout;
  layout.add(std::string_view(settings.plan.backend).substr(0, settings.plan.backend.find('/')));
  layout.add(kv_page_size);
  for (const KvLayer& layer : model.plan().kv) {
    layout.add(layer.n_kv_heads);
    layout.add(layer.head_dim);
    layout.add(layer.window);
  }
  for (const RopeTable& rope : settings.model_plan->ropes)  // which may depend on the context
    layout.add(std::as_bytes(std::span(rope.inverse_frequency)));
  return {settings.plan.kv_type, model.fingerprint(), layout.value(), settings.page_bytes};
}

std::vector<std::byte> Engine::State::save(const KvSequence& kv, std::span<const TokenId> tokens,
                                           std::span<const float> logits) const {
  const std::span<const KvLayer> layers = cache.layers();
  StateDraft draft =
      draft_state(state_key(), kv.length, count_needed_pages(layers, kv.length), tokens, logits);
  std::size_t at = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::size_t end = (std::size_t{kv.length} + kv_page_size - 1) / kv_page_size;
    for (std::size_t p = first_needed_page(layers[i], kv.length); p < end; ++p, at += settings.page_bytes)
      settings.backend->read_page(kv.pages[i][p], draft.pages.subspan(at, settings.page_bytes));
  }
  seal_state(draft.bytes);
  return std::move(draft.bytes);
}

// `into` is empty. Grows as it would have by evaluating, so that it never holds more pages than planned.
void Engine::State::restore(const StateParts& parts, KvSequence& into) {
  while (into.length < parts.length) {
    const std::uint32_t n = std::min(settings.options.batch, parts.length - into.length);
    cache.reserve(into, n, into.length);
    cache.commit(into, n);
  }
  cache.reserve(into, 0, into.length);  // drops what is not needed, and so was not saved
  std::size_t at = 0;
  const std::span<const KvLayer> layers = cache.layers();
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (std::size_t p = first_needed_page(layers[i], into.length); p < into.pages[i].size();
         ++p, at += settings.page_bytes)
      settings.backend->write_page(into.pages[i][p], parts.pages.subspan(at, settings.page_bytes));
}

Sequence::Sequence(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Sequence::Sequence(Sequence&&) noexcept = default;
Sequence& Sequence::operator=(Sequence&& other) noexcept {
  Sequence old(std::exchange(state_, std::move(other.state_)));
  return *this;
}
Sequence::~Sequence() {
  if (state_ == nullptr) return;
  Engine::State& engine = *state_->engine;
  const TurnGuard turn(engine.turn);
  engine.cache.release(state_->kv);
  --engine.n_sequences;
}
std::uint32_t Sequence::length() const noexcept { return state_->kv.length; }
std::uint32_t Sequence::drafted() const noexcept { return state_->kv.drafted; }
void Sequence::accept(std::uint32_t n) {
  translate_errors([&] {
    KvSequence& kv = state_->kv;
    if (n > kv.drafted)
      throw Error({.code = ErrorCode::out_of_range,
                   .source = "sequence",
                   .field = "accept",
                   .found = std::to_string(n),
                   .allowed = "at most the " + std::to_string(kv.drafted) + " drafted"});
    kv.length += n;
    kv.drafted -= n;
  });
}

Engine::Engine(const Model& model, const EngineOptions& options)
    : state_(translate_errors([&] { return std::make_shared<State>(model, options); })) {}

EnginePlan Engine::plan(const Model& model, const EngineOptions& options) {
  return translate_errors([&] { return settle(model, options).plan; });
}

const Model& Engine::model() const noexcept { return state_->model; }
const EngineOptions& Engine::options() const noexcept { return state_->settings.options; }
const EnginePlan& Engine::plan() const noexcept { return state_->settings.plan; }

Sequence Engine::make_sequence() const {
  return translate_errors([&] {
    auto state = std::make_unique<Sequence::State>();
    const TurnGuard turn(state_->turn);
    state_->check_free();
    state->kv = state_->cache.make_sequence();
    state->engine = state_;
    ++state_->n_sequences;
    return Sequence(std::move(state));
  });
}

Sequence Engine::fork(const Sequence& sequence) const {
  return translate_errors([&] {
    auto state = std::make_unique<Sequence::State>();
    const TurnGuard turn(state_->turn);
    const Sequence::State& from = state_->own(&sequence);
    state_->check_free();
    state->kv = state_->cache.fork(from.kv);
    state->engine = state_;
    ++state_->n_sequences;
    return Sequence(std::move(state));
  });
}

bool Engine::rewind(Sequence& sequence, std::uint32_t length) const {
  return translate_errors([&] {
    const TurnGuard turn(state_->turn);
    KvSequence& kv = state_->own(&sequence).kv;
    if (length > kv.length)
      throw Error({.code = ErrorCode::out_of_range,
                   .source = "engine",
                   .field = "length",
                   .found = std::to_string(length),
                   .allowed = "at most " + std::to_string(kv.length)});
    return state_->cache.rewind(kv, length);
  });
}

std::vector<std::byte> Engine::save(const Sequence& sequence, std::span<const TokenId> tokens,
                                    std::span<const float> logits) const {
  return translate_errors([&] {
    const TurnGuard turn(state_->turn);
    const KvSequence& kv = state_->own(&sequence).kv;
    const bool whole = tokens.size() == kv.length && kv.length > 0;
    if (tokens.size() < kv.length || tokens.size() > state_->settings.options.context)
      throw Error({.code = ErrorCode::invalid_argument,
                   .source = "engine",
                   .field = "tokens",
                   .found = std::to_string(tokens.size()),
                   .allowed = std::to_string(kv.length) + " and more, within the context"});
    if (!logits.empty() && (!whole || logits.size() != state_->model.plan().vocab_size))
      throw Error({.code = ErrorCode::invalid_argument,
                   .source = "engine",
                   .field = "logits",
                   .found = std::to_string(logits.size()),
                   .allowed = whole ? "0 or the vocabulary's size" : "0: the last token is not evaluated"});
    return state_->save(kv, tokens, logits);
  });
}

SavedState Engine::restore(std::span<const std::byte> bytes, Sequence& into, std::string_view source) const {
  return translate_errors([&] {
    State& engine = *state_;
    const TurnGuard turn(engine.turn);
    KvSequence& kv = engine.own(&into).kv;
    const StateParts parts = parse_state(
        bytes, engine.state_key(),
        {engine.cache.layers(), engine.settings.options.context, engine.model.plan().vocab_size}, source);
    SavedState saved;
    saved.tokens.resize(parts.tokens.size() / sizeof(TokenId));
    if (!saved.tokens.empty()) std::memcpy(saved.tokens.data(), parts.tokens.data(), parts.tokens.size());
    saved.logits.resize(parts.logits.size() / sizeof(float));
    if (!saved.logits.empty()) std::memcpy(saved.logits.data(), parts.logits.data(), parts.logits.size());

    // From here on nothing fails: each sequence's share of the pool suffices, and its lists have their room.
    KvSequence fresh = engine.cache.make_sequence();
    for (auto& pages : fresh.pages) pages.reserve(parts.length / kv_page_size + 1);
    engine.cache.release(kv);
    engine.restore(parts, fresh);
    kv = std::move(fresh);
    return saved;
  });
}

}  // namespace nibble::inline v0
