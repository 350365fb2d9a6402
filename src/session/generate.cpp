// Session::generate: sample a token, turn it into text, hand out what is whole, evaluate it with the next.
// Where sampler, engine and tokenizer meet.
#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "src/session/prompt_lookup.hpp"
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

// A draft and the token before it are one batch, all of whose rows want logits.
std::uint32_t longest_draft(const GenerateOptions& o, const Engine& engine) {
  return std::min({o.draft_tokens, engine.options().batch - 1, engine.plan().outputs - 1});
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
        ranking_(sampler_.ranking()),
        lookup_(longest_draft(options, session.engine)),
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
  bool foreseen();
  void step();
  std::size_t tokens_left() const noexcept;  // to be generated at most
  void use_row(std::size_t i);
  void take(std::string text) {
    result.text += text;
    ready = std::move(text);
  }

  State& session_;
  const GenerateOptions& options_;
  std::stop_token stop_;
  Sampler sampler_;
  std::optional<RankOptions> ranking_;  // where rows in short will do
  PromptLookup lookup_;
  std::vector<TokenId> tried_;      // a token and the draft after it, run together
  std::vector<float> rows_;         // (tried_.size(), vocab_size), the logits after each
  std::vector<RankedRow> ranked_;   // or these
  bool ahead_ = false;              // whether the newest token is being evaluated already
  std::size_t used_ = 0;            // rows that have been sampled from
  const RankedRow* row_ = nullptr;  // what to sample from next, where the session has no logits
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
  lookup_.reserve(std::min<std::size_t>(session_.engine.options().context,
                                        session_.tokens.size() + ids.size() + options_.max_tokens));
  session_.evaluate(ids, stop_, options_.progress);
  result.prompt_tokens = static_cast<std::uint32_t>(ids.size());
  stream_.reset(session_.continues_text());
}

std::size_t Session::State::Run::tokens_left() const noexcept {
  return std::min(session_.engine.options().context - session_.tokens.size(),
                  options_.max_tokens - result.tokens.size());
}

// What is sampled from next is what comes after tried_[i].
void Session::State::Run::use_row(std::size_t i) {
  used_ = i + 1;
  if (ranking_) {
    row_ = &ranked_[i];
    return;
  }
  const std::size_t vocab_size = session_.engine.model().plan().vocab_size;
  const auto row = std::span(rows_).subspan(i * vocab_size, vocab_size);
  session_.logits.assign(row.begin(), row.end());
}

// Whether the newest token is the next of the draft, and so evaluated already. The sampler has drawn it from
// the very logits that it would have seen without the draft: a row's bits do not depend on the batch.
bool Session::State::Run::foreseen() {
  const std::uint32_t drafted = session_.sequence.drafted();
  if (drafted == 0 || used_ + drafted != tried_.size() || session_.tokens.back() != tried_[used_])
    return false;
  use_row(used_);
  session_.sequence.accept(1);
  ++result.accepted_tokens;
  return true;
}

// Evaluates the newest token, and with it what may follow: nothing does after an end token.
void Session::State::Run::step() {
  // What is being evaluated already costs no step: nothing is guessed beside it.
  std::span<const TokenId> draft = lookup_.draft(session_.tokens, ahead_ ? 0 : tokens_left() - 1);
  const auto ends = [&](TokenId token) { return !options_.ignore_end && session_.tokenizer().is_end(token); };
  draft = draft.first(static_cast<std::size_t>(std::ranges::find_if(draft, ends) - draft.begin()));
  const std::uint32_t evaluated = session_.sequence.length();
  if (evaluated + 1 != session_.tokens.size()) draft = {};
  if (evaluated == session_.tokens.size() || (draft.empty() && !ranking_))
    return session_.evaluate({}, stop_, {});
  tried_.assign(session_.tokens.begin() + evaluated, session_.tokens.end());
  tried_.insert(tried_.end(), draft.begin(), draft.end());
  const StepInput input{.sequence = &session_.sequence,
                        .tokens = tried_,
                        .outputs = draft.empty() ? Outputs::last : Outputs::all,
                        .draft = static_cast<std::uint32_t>(draft.size())};
  if (ranking_) {
    RankOptions ranking = *ranking_;
    std::optional<ForeseenDraws> draws;
    if (tokens_left() > 1 && draft.empty() && !lookup_.has_guess()) draws = sampler_.foresee();
    ranking.ahead = draws.has_value();
    if (draws) ranking.draws = {&*draws, 1};
    ranked_ = session_.engine.step_ranked({&input, 1}, ranking, stop_);
    ahead_ = ranked_.front().ahead;
  } else {
    session_.logits.reserve(session_.engine.model().plan().vocab_size);  // after the step nothing may fail
    rows_ = session_.engine.step({&input, 1}, stop_);
  }
  result.drafted_tokens += input.draft;
  use_row(0);
}

// The newest token, so that there is a row to sample from; false where a stop came first.
bool Session::State::Run::evaluate() {
  try {
    if (session_.logits.empty() && !foreseen()) step();
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

  const Sample sample =
      row_ != nullptr ? sampler_.sample(*row_) : sampler_.sample(session_.logits, session_.tokens);
  row_ = nullptr;
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
