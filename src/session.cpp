// Session: tokens and what has been evaluated of them, kept in step whatever fails.
// The top of the flow; tokenizer, engine and sampler meet here.
#include "nibble/session.hpp"

#include <chrono>
#include <mutex>
#include <utility>

#include "nibble/core/error.hpp"
#include "nibble/file/byte_source.hpp"
#include "src/file/partial_file.hpp"
#include "src/session/stop_texts.hpp"

namespace nibble::inline v0 {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What cancel() reaches: the stop of the call that is running, and of none later.
class Cancel {
 public:
  // A running call's scope.
  class Scope {
   public:
    explicit Scope(Cancel& cancel) : cancel_(cancel) { cancel_.set(&source_); }
    ~Scope() { cancel_.set(nullptr); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    std::stop_token token() const noexcept { return source_.get_token(); }

   private:
    Cancel& cancel_;
    std::stop_source source_;
  };

  void request() noexcept {
    const std::lock_guard lock(mutex_);
    if (running_ != nullptr) running_->request_stop();
  }

 private:
  void set(std::stop_source* source) noexcept {
    const std::lock_guard lock(mutex_);
    running_ = source;
  }
  std::mutex mutex_;
  std::stop_source* running_ = nullptr;
};

SamplerOptions sampler_options(const GenerateOptions& o, const Model& model) {
  SamplerOptions s{.temperature = o.temperature,
                   .top_k = o.top_k,
                   .top_p = o.top_p,
                   .min_p = o.min_p,
                   .typical_p = o.typical_p,
                   .repetition_penalty = o.repetition_penalty,
                   .presence_penalty = o.presence_penalty,
                   .frequency_penalty = o.frequency_penalty,
                   .penalty_window = o.penalty_window,
                   .logit_bias = o.logit_bias,
                   .seed = o.seed};
  // Rows beyond the tokenizer's tokens are padding: no text stands for them.
  for (std::uint32_t id = model.tokenizer().size(); id < model.plan().vocab_size; ++id)
    s.logit_bias.insert_or_assign(static_cast<TokenId>(id), -std::numeric_limits<float>::infinity());
  return s;
}

}  // namespace

std::string_view to_string(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::end_token: return "end_token";
    case StopReason::stop_text: return "stop_text";
    case StopReason::max_tokens: return "max_tokens";
    case StopReason::context_full: return "context_full";
    case StopReason::callback: return "callback";
    case StopReason::cancelled: return "cancelled";
  }
  return "unknown";
}

struct Session::State {
  State(Engine engine_of, Sequence own) : engine(std::move(engine_of)), sequence(std::move(own)) {}

  Engine engine;
  Sequence sequence;            // the first sequence.length() tokens are evaluated
  std::vector<TokenId> tokens;  // all of them
  std::vector<float> logits;    // after the last token; empty where that is not evaluated
  Cancel cancel;

  const Tokenizer& tokenizer() const noexcept { return engine.model().tokenizer(); }
  std::vector<TokenId> encode(std::string_view text, bool parse_special) const;
  void evaluate(std::span<const TokenId> more, const std::stop_token& stop, const Progress& progress);
  bool continues_text() const;
  struct Run;
  void next_token(Run& run);
};

// BOS goes before a session's first text, unless that spells it itself. No EOS: more is to come.
std::vector<TokenId> Session::State::encode(std::string_view text, bool parse_special) const {
  std::vector<TokenId> ids = tokenizer().encode(text, {.add_special = false, .parse_special = parse_special});
  const std::optional<TokenId> bos = tokenizer().bos();
  if (tokens.empty() && tokenizer().adds_bos() && bos && (ids.empty() || ids.front() != *bos))
    ids.insert(ids.begin(), *bos);
  return ids;
}

// Evaluates what is left to do and `more`, which join the tokens; all or nothing.
void Session::State::evaluate(std::span<const TokenId> more, const std::stop_token& stop,
                              const Progress& progress) {
  const std::size_t before = tokens.size();
  tokens.insert(tokens.end(), more.begin(), more.end());
  try {
    const std::span<const TokenId> rest = std::span(tokens).subspan(sequence.length());
    if (rest.empty()) return;
    const StepInput input{.sequence = &sequence, .tokens = rest, .outputs = Outputs::last};
    logits = engine.step({&input, 1}, stop, progress);
  } catch (...) {
    tokens.resize(before);
    throw;
  }
}

// Whether what comes next follows text, so that a space at its beginning counts.
bool Session::State::continues_text() const {
  if (tokens.empty() || static_cast<std::uint32_t>(tokens.back()) >= tokenizer().size()) return false;
  return tokenizer().kind(tokens.back()) != TokenKind::control;
}

// One generation under way.
struct Session::State::Run {
  const GenerateOptions& options;
  const OnText& on_text;
  std::stop_token stop;
  Sampler sampler;
  StopTexts stop_texts;
  TextStream stream;
  Generation result;
  std::string ready;  // text not yet handed out
  bool done = false;

  void end(StopReason reason) {
    result.reason = reason;
    done = true;
  }
  // Not through translate_errors: an exception of the caller's own stays what it is.
  void hand_out() {
    if (ready.empty()) return;
    result.text += ready;
    const std::string text = std::exchange(ready, {});
    if (on_text && !on_text(text) && !done) end(StopReason::callback);
  }
};

void Session::State::next_token(Run& run) {
  if (run.result.tokens.size() == run.options.max_tokens) return run.end(StopReason::max_tokens);
  if (tokens.size() == engine.options().context) return run.end(StopReason::context_full);
  try {
    if (logits.empty()) evaluate({}, run.stop, {});
  } catch (const Error& e) {
    if (e.code() != ErrorCode::cancelled) throw;
  }
  if (run.stop.stop_requested()) return run.end(StopReason::cancelled);
  const Sample sample = run.sampler.sample(logits, tokens);
  run.result.tokens.reserve(run.result.tokens.size() + 1);
  tokens.push_back(sample.token);
  run.result.tokens.push_back({sample.token, sample.logprob});
  logits.clear();
  if (!run.options.ignore_end && tokenizer().is_end(sample.token)) return run.end(StopReason::end_token);
  run.ready += run.stop_texts.push(run.stream.push(sample.token));
  if (run.stop_texts.matched()) run.end(StopReason::stop_text);
}

Session::Session(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Session::Session(const Engine& engine)
    : state_(translate_errors([&] { return std::make_unique<State>(engine, engine.make_sequence()); })) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void Session::append(std::string_view text, bool parse_special, const Progress& progress) {
  translate_errors([&] {
    const Cancel::Scope scope(state_->cancel);
    state_->evaluate(state_->encode(text, parse_special), scope.token(), progress);
  });
}

void Session::append(std::span<const TokenId> tokens, const Progress& progress) {
  translate_errors([&] {
    const Cancel::Scope scope(state_->cancel);
    state_->evaluate(tokens, scope.token(), progress);
  });
}

Generation Session::generate(std::string_view prompt, const GenerateOptions& options, const OnText& on_text) {
  State& s = *state_;
  const auto start = Clock::now();
  const Cancel::Scope scope(s.cancel);
  State::Run run = translate_errors([&] {
    State::Run begun{
        .options = options,
        .on_text = on_text,
        .stop = scope.token(),
        .sampler = Sampler(sampler_options(options, s.engine.model()), s.engine.model().plan().vocab_size),
        .stop_texts = StopTexts(options.stop, s.engine.model().limits()),
        .stream = TextStream(s.tokenizer()),
        .result = {},
        .ready = {}};
    const std::vector<TokenId> ids = s.encode(prompt, options.parse_special);
    if (ids.empty() && s.tokens.empty())
      throw Error({.code = ErrorCode::invalid_argument,
                   .source = "generate",
                   .field = "prompt",
                   .found = "nothing",
                   .allowed = "text, as the session is empty and the model has no BOS"});
    s.evaluate(ids, scope.token(), options.progress);
    begun.result.prompt_tokens = static_cast<std::uint32_t>(ids.size());
    begun.stream.reset(s.continues_text());
    return begun;
  });
  run.result.prompt_seconds = seconds_since(start);
  const auto generating = Clock::now();
  while (!run.done) {
    translate_errors([&] { s.next_token(run); });
    run.hand_out();
  }
  // What was held back, unless the caller has asked for no more.
  const bool stopped = run.result.reason == StopReason::callback;
  translate_errors([&] {
    (stopped ? run.result.text : run.ready) +=
        run.stop_texts.push(run.stream.finish()) + run.stop_texts.finish();
  });
  run.hand_out();
  run.result.generate_seconds = seconds_since(generating);
  return std::move(run.result);
}

std::vector<GeneratedToken> Session::score(std::string_view text) {
  return translate_errors([&] {
    State& s = *state_;
    const Cancel::Scope scope(s.cancel);
    const std::vector<TokenId> ids = s.encode(text, false);
    s.evaluate({}, scope.token(), {});
    std::vector<GeneratedToken> scored;
    scored.reserve(ids.size());
    const auto add = [&](TokenId token, std::span<const float> logits) {
      scored.push_back({token, static_cast<float>(log_probability(logits, token))});
    };
    if (ids.empty()) return scored;
    if (!s.logits.empty()) add(ids.front(), s.logits);
    const StepInput input{
        .sequence = &s.sequence, .tokens = std::span(ids).first(ids.size() - 1), .outputs = Outputs::all};
    s.engine.probe(
        {&input, 1},
        [&](std::size_t, std::size_t i, std::span<const float> logits) { add(ids[i + 1], logits); },
        scope.token());
    return scored;
  });
}

std::span<const TokenId> Session::tokens() const noexcept { return state_->tokens; }
std::span<const float> Session::logits() const noexcept { return state_->logits; }

void Session::rewind(std::uint32_t length) {
  translate_errors([&] {
    State& s = *state_;
    if (length > s.tokens.size())
      throw Error({.code = ErrorCode::out_of_range,
                   .source = "session",
                   .field = "length",
                   .found = std::to_string(length),
                   .allowed = "at most " + std::to_string(s.tokens.size())});
    if (length == s.tokens.size()) return;
    // The last token that is left is evaluated again, for its logits.
    const std::uint32_t evaluated = length == 0 ? 0 : length - 1;
    if (evaluated < s.sequence.length() && !s.engine.rewind(s.sequence, evaluated))
      s.engine.rewind(s.sequence, 0);
    s.tokens.resize(length);
    s.logits.clear();
  });
}

Session Session::fork() const {
  return translate_errors([&] {
    auto copy = std::make_unique<State>(state_->engine, state_->engine.fork(state_->sequence));
    copy->tokens = state_->tokens;
    copy->logits = state_->logits;
    return Session(std::move(copy));
  });
}

void Session::save(const std::filesystem::path& path) const {
  translate_errors([&] {
    const std::vector<std::byte> bytes =
        state_->engine.save(state_->sequence, state_->tokens, state_->logits);
    PartialFile file(path);
    file.write(bytes);
    file.commit();
  });
}

void Session::restore(const std::filesystem::path& path) {
  translate_errors([&] {
    const auto file = ByteSource::open(path, LoadMode::copy);
    SavedState saved = state_->engine.restore(file->bytes(), state_->sequence, file->name());
    state_->tokens = std::move(saved.tokens);
    state_->logits = std::move(saved.logits);
  });
}

void Session::cancel() noexcept { state_->cancel.request(); }

}  // namespace nibble::inline v0
