// Steps: inputs of several sequences cut into chunks that a backend can take, all of them or none.
// Between Engine and Backend::run.
#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "nibble/sample/sampler.hpp"
#include "src/engine/engine_state.hpp"

namespace nibble::inline v0 {
namespace {

Error bad_input(ErrorCode code, std::string field, std::string found, std::string allowed) {
  return Error({.code = code,
                .source = "step",
                .field = std::move(field),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

// Rows that tokens [0, n) of an input want.
std::size_t rows_before(const StepInput& input, std::size_t n) noexcept {
  if (input.outputs == Outputs::all) return n;
  return input.outputs == Outputs::last && n > 0 && n == input.tokens.size() ? 1 : 0;
}

}  // namespace

void Chunk::clear() noexcept {
  pieces.clear();
  tokens.clear();
  positions.clear();
  sequence.clear();
  outputs.clear();
  sequences.clear();
}

// Takes every sequence of a step back to where it was, unless the step is kept.
class Engine::State::Undo {
 public:
  Undo(State& engine, std::span<const StepInput> inputs) : engine_(engine), inputs_(inputs) {
    for (const StepInput& input : inputs) lengths_.push_back(input.sequence->length());
  }
  ~Undo() {
    for (std::size_t i = 0; i < lengths_.size(); ++i) {
      // The pages this needs were kept: reserve() was told of these lengths.
      [[maybe_unused]] const bool done =
          engine_.cache.rewind(engine_.own(inputs_[i].sequence).kv, lengths_[i]);
      assert(done);
    }
  }
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;

  std::span<const std::uint32_t> lengths() const noexcept { return lengths_; }
  void keep() noexcept { lengths_.clear(); }

 private:
  State& engine_;
  std::span<const StepInput> inputs_;
  std::vector<std::uint32_t> lengths_;
};

void Engine::State::check(std::span<const StepInput> inputs) const {
  std::vector<const Sequence::State*> seen;
  seen.reserve(inputs.size());
  const std::uint32_t vocab_size = model.plan().vocab_size, context = settings.options.context;
  for (const StepInput& input : inputs) {
    const Sequence::State& sequence = own(input.sequence);
    seen.push_back(&sequence);
    const std::uint64_t length = std::uint64_t{sequence.kv.length} + input.tokens.size();
    if (length > context)
      throw bad_input(ErrorCode::context_overflow, "context", std::to_string(length) + " positions",
                      "at most " + std::to_string(context));
    for (const TokenId token : input.tokens)
      if (token < 0 || static_cast<std::uint32_t>(token) >= vocab_size)
        throw bad_input(ErrorCode::invalid_argument, "tokens", std::to_string(token),
                        "tokens below " + std::to_string(vocab_size));
    if (input.draft > input.tokens.size())
      throw bad_input(ErrorCode::invalid_argument, "draft", std::to_string(input.draft),
                      "at most the " + std::to_string(input.tokens.size()) + " tokens");
  }
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) != seen.end())
    throw bad_input(ErrorCode::invalid_argument, "inputs", "a sequence twice", "each sequence once");
}

// Puts the next tokens into the chunk, from `next` on, until it is full in tokens or in outputs.
void Engine::State::fill(std::span<const StepInput> inputs, Piece& next) {
  chunk.clear();
  while (next.input < inputs.size() && chunk.tokens.size() < settings.options.batch) {
    const StepInput& input = inputs[next.input];
    const std::size_t done = next.from;
    std::size_t n = std::min(input.tokens.size() - done, settings.options.batch - chunk.tokens.size());
    const std::size_t rows_left = settings.plan.outputs - chunk.outputs.size();
    if (input.outputs == Outputs::all) n = std::min(n, rows_left);
    if (input.outputs == Outputs::last && rows_left == 0 && done + n == input.tokens.size() && n > 0) --n;
    if (n == 0 && done < input.tokens.size()) return;

    const auto number = static_cast<std::uint32_t>(chunk.sequences.size());
    const KvSequence& kv = own(input.sequence).kv;
    for (std::size_t i = 0; i < n; ++i) {
      if (rows_before(input, done + i + 1) > rows_before(input, done + i))
        chunk.outputs.push_back(static_cast<std::uint32_t>(chunk.tokens.size()));
      chunk.tokens.push_back(input.tokens[done + i]);
      chunk.positions.push_back(kv.length + static_cast<std::uint32_t>(i));
      chunk.sequence.push_back(number);
    }
    if (n > 0) {
      chunk.pieces.push_back({next.input, done, n});
      chunk.sequences.push_back({&kv});
    }
    next.from += n;
    if (next.from < input.tokens.size()) return;
    next = {.input = next.input + 1};
  }
}

void Engine::State::run_chunk(std::span<const StepInput> inputs, std::span<const std::uint32_t> before,
                              const RunBatch& run_batch) {
  for (const Piece& piece : chunk.pieces) {
    KvSequence& kv = own(inputs[piece.input].sequence).kv;
    // A fork's copies are made at once: the sequence has left the shared page, whatever happens next.
    settings.backend->copy_pages(cache.reserve(kv, static_cast<std::uint32_t>(piece.n), before[piece.input]));
  }
  run_batch({chunk.tokens, chunk.positions, chunk.sequence, chunk.outputs, chunk.sequences});
  for (const Piece& piece : chunk.pieces) {
    const StepInput& input = inputs[piece.input];
    cache.commit(own(input.sequence).kv, static_cast<std::uint32_t>(piece.n), input.draft);
  }
}

std::size_t Engine::State::checked_rows(std::span<const StepInput> inputs) const {
  check(inputs);
  std::size_t total = 0, n_rows = 0, drafted = 0;
  for (const StepInput& input : inputs) {
    total += input.tokens.size();
    n_rows += rows_before(input, input.tokens.size());
    drafted += input.draft;
  }
  // Over several batches, a window could drop what going on from the first guesses would see.
  if (drafted > 0 && (total > settings.options.batch || n_rows > settings.plan.outputs))
    throw bad_input(ErrorCode::limit, "draft",
                    std::to_string(total) + " tokens, " + std::to_string(n_rows) + " rows of logits",
                    "one batch: " + std::to_string(settings.options.batch) + ", " +
                        std::to_string(settings.plan.outputs));
  return n_rows;
}

void Engine::State::run(std::span<const StepInput> inputs, const RunBatch& run_batch, bool keep,
                        const Progress& progress) {
  std::size_t total = 0, done = 0;
  for (const StepInput& input : inputs) total += input.tokens.size();
  Undo undo(*this, inputs);
  for (Piece next; done < total; done += chunk.tokens.size()) {
    if (progress) progress(Stage::prefill, done, total);
    fill(inputs, next);
    run_chunk(inputs, undo.lengths(), run_batch);
  }
  if (progress) progress(Stage::prefill, total, total);
  if (keep) undo.keep();
}

// Rows are handed out as chunks finish.
void Engine::State::run(std::span<const StepInput> inputs, const OnLogits& on_logits, bool keep,
                        const std::stop_token& stop, const Progress& progress) {
  const std::size_t vocab_size = model.plan().vocab_size;
  std::vector<float> rows(std::min<std::size_t>(checked_rows(inputs), settings.plan.outputs) * vocab_size);
  const auto run_batch = [&](const Batch& batch) {
    const std::span<float> logits = std::span(rows).first(batch.outputs.size() * vocab_size);
    settings.backend->run(batch, logits, stop);
    hand_out(inputs, logits, on_logits);
  };
  run(inputs, run_batch, keep, progress);
}

void Engine::State::run_ranked(const Batch& batch, const RankOptions& options, std::span<RankedRow> rows,
                               const std::stop_token& stop) {
  if (settings.backend->run_ranked(batch, options, rows, stop)) return;
  const std::size_t vocab_size = model.plan().vocab_size;
  whole_rows.resize(std::max(whole_rows.size(), rows.size() * vocab_size));
  settings.backend->run(batch, std::span(whole_rows).first(rows.size() * vocab_size), stop);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = rank(std::span(whole_rows).subspan(i * vocab_size, vocab_size), options);
}

// The chunk's rows, each with the place of its token.
void Engine::State::hand_out(std::span<const StepInput> inputs, std::span<const float> logits,
                             const OnLogits& on_logits) const {
  const std::size_t vocab_size = model.plan().vocab_size;
  for (const Piece& piece : chunk.pieces) {
    const StepInput& input = inputs[piece.input];
    for (std::size_t i = piece.from; i < piece.from + piece.n; ++i) {
      if (rows_before(input, i + 1) == rows_before(input, i)) continue;
      on_logits(piece.input, i, logits.first(vocab_size));
      logits = logits.subspan(vocab_size);
    }
  }
}

std::vector<float> Engine::step(std::span<const StepInput> inputs, const std::stop_token& stop,
                                const Progress& progress) const {
  return translate_errors([&] {
    const TurnGuard turn(state_->turn, stop);
    const std::size_t vocab_size = model().plan().vocab_size;
    std::vector<float> rows(state_->checked_rows(inputs) * vocab_size);
    const auto run_batch = [&, left = std::span(rows)](const Batch& batch) mutable {
      const std::span<float> logits = left.first(batch.outputs.size() * vocab_size);
      state_->settings.backend->run(batch, logits, stop);
      left = left.subspan(logits.size());
    };
    state_->run(inputs, run_batch, true, progress);
    return rows;
  });
}

std::vector<RankedRow> Engine::step_ranked(std::span<const StepInput> inputs, const RankOptions& options,
                                           const std::stop_token& stop, const Progress& progress) const {
  return translate_errors([&] {
    const std::uint32_t vocab_size = model().plan().vocab_size;
    if (options.n == 0 || options.n > most_ranked || options.n_tokens > vocab_size)
      throw bad_input(ErrorCode::invalid_argument, "ranking",
                      std::to_string(options.n) + " of " + std::to_string(options.n_tokens),
                      "1 to " + std::to_string(most_ranked) + " of at most " + std::to_string(vocab_size));
    const TurnGuard turn(state_->turn, stop);
    std::vector<RankedRow> rows(state_->checked_rows(inputs));
    if (!options.draws.empty() && options.draws.size() != rows.size())
      throw bad_input(ErrorCode::invalid_argument, "draws", std::to_string(options.draws.size()),
                      std::to_string(rows.size()) + ", one a row, or none");
    const auto run_batch = [&, done = std::size_t{0}](const Batch& batch) mutable {
      const std::size_t n = batch.outputs.size();
      RankOptions of_batch = options;
      if (!options.draws.empty()) of_batch.draws = options.draws.subspan(done, n);
      state_->run_ranked(batch, of_batch, std::span(rows).subspan(done, n), stop);
      done += n;
    };
    state_->run(inputs, run_batch, true, progress);
    return rows;
  });
}

void Engine::step(std::span<const StepInput> inputs, const OnLogits& on_logits, const std::stop_token& stop,
                  const Progress& progress) const {
  translate_errors([&] {
    const TurnGuard turn(state_->turn, stop);
    state_->run(inputs, on_logits, true, stop, progress);
  });
}

void Engine::probe(std::span<const StepInput> inputs, const OnLogits& on_logits, const std::stop_token& stop,
                   const Progress& progress) const {
  translate_errors([&] {
    const TurnGuard turn(state_->turn, stop);
    state_->run(inputs, on_logits, false, stop, progress);
  });
}

}  // namespace nibble::inline v0
