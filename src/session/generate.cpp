// Session::generate: sample a token, turn it into text, hand out what is whole, evaluate it with the next.
// Where sampler, engine and tokenizer meet.
#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "src/session/session_state.hpp"
#include "src/session/stop_texts.hpp"

namespace nibble::inline v0 {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

// One generation under way.
class Session::State::Run {
 public:
  Run(State& session, const GenerateOptions& options, std::stop_token stop)
      : session_(session),
        options_(options),
        stop_(std::move(stop)),
        sampler_(sampler_options(options, session.engine.model()), session.engine.model().plan().vocab_size),
        stop_texts_(options.stop, session.engine.model().limits()),
        stream_(session.tokenizer()) {}

  void append(std::string_view prompt);
  bool next_token();  // false once the generation has ended
  void finish();      // what was held back joins the text
  void end(StopReason reason) noexcept {
    result.reason = reason;
    ended_ = true;
  }

  Generation result;
  std::string ready;  // text of the newest token, not yet handed out

 private:
  bool evaluate();
  void take(std::string text) {
    result.text += text;
    ready = std::move(text);
  }

  State& session_;
  const GenerateOptions& options_;
  std::stop_token stop_;
  Sampler sampler_;
  StopTexts stop_texts_;
  TextStream stream_;
  bool ended_ = false;
};

void Session::State::Run::append(std::string_view prompt) {
  const std::vector<TokenId> ids = session_.encode(prompt, options_.parse_special);
  if (ids.empty() && session_.tokens.empty())
    throw Error({.code = ErrorCode::invalid_argument,
                 .source = "generate",
                 .field = "prompt",
                 .found = "nothing",
                 .allowed = "text, as the session is empty and the model has no BOS"});
  session_.evaluate(ids, stop_, options_.progress);
  result.prompt_tokens = static_cast<std::uint32_t>(ids.size());
  stream_.reset(session_.continues_text());
}

// The newest token, so that there are logits; false where a stop came first.
bool Session::State::Run::evaluate() {
  try {
    if (session_.logits.empty()) session_.evaluate({}, stop_, {});
  } catch (const Error& e) {
    if (e.code() != ErrorCode::cancelled) throw;
    return false;
  }
  return !stop_.stop_requested();
}

bool Session::State::Run::next_token() {
  ready.clear();
  if (!ended_ && result.tokens.size() == options_.max_tokens) end(StopReason::max_tokens);
  if (!ended_ && session_.tokens.size() == session_.engine.options().context) end(StopReason::context_full);
  if (!ended_ && !evaluate()) end(StopReason::cancelled);
  if (ended_) return false;

  const Sample sample = sampler_.sample(session_.logits, session_.tokens);
  result.tokens.push_back({sample.token, sample.logprob});
  session_.tokens.push_back(sample.token);
  session_.logits.clear();
  if (!options_.ignore_end && session_.tokenizer().is_end(sample.token)) {
    end(StopReason::end_token);
  } else {
    take(stop_texts_.push(stream_.push(sample.token)));
    if (stop_texts_.matched()) end(StopReason::stop_text);
  }
  return true;
}

void Session::State::Run::finish() { take(stop_texts_.push(stream_.finish()) + stop_texts_.finish()); }

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

// Whether what comes next follows text, so that a space at its beginning counts.
bool Session::State::continues_text() const {
  if (tokens.empty() || static_cast<std::uint32_t>(tokens.back()) >= tokenizer().size()) return false;
  return tokenizer().kind(tokens.back()) != TokenKind::control;
}

// The caller's on_text is called outside translate_errors: an exception of its own stays what it is.
Generation Session::generate(std::string_view prompt, const GenerateOptions& options, const OnText& on_text) {
  const auto start = Clock::now();
  const auto scope = translate_errors([&] { return Cancel::Scope(state_->cancel); });
  State::Run run = translate_errors([&] { return State::Run(*state_, options, scope.token()); });
  translate_errors([&] { run.append(prompt); });
  run.result.prompt_seconds = seconds_since(start);

  const auto generating = Clock::now();
  while (translate_errors([&] { return run.next_token(); })) {
    if (on_text && !run.ready.empty() && !on_text(run.ready)) run.end(StopReason::callback);
  }
  translate_errors([&] { run.finish(); });
  if (on_text && !run.ready.empty() && run.result.reason != StopReason::callback) on_text(run.ready);
  run.result.generate_seconds = seconds_since(generating);
  return std::move(run.result);
}

}  // namespace nibble::inline v0
