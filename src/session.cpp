// Session: tokens and what has been evaluated of them, kept in step whatever fails.
// The top of the flow; generate() is in session/generate.cpp.
#include "nibble/session.hpp"

#include <string>
#include <utility>

#include "nibble/core/error.hpp"
#include "nibble/file/byte_source.hpp"
#include "src/file/partial_file.hpp"
#include "src/session/session_state.hpp"

namespace nibble::inline v0 {

// BOS goes before a session's first text, unless that spells it itself. No EOS: more is to come.
std::vector<TokenId> Session::State::encode(std::string_view text, bool parse_special) const {
  std::vector<TokenId> ids = tokenizer().encode(text, {.add_special = false, .parse_special = parse_special});
  const std::optional<TokenId> bos = tokenizer().bos();
  if (tokens.empty() && tokenizer().adds_bos() && bos && (ids.empty() || ids.front() != *bos))
    ids.insert(ids.begin(), *bos);
  return ids;
}

// Evaluates what is left to do and `more`, which join the tokens; all or nothing. Where the last token's row
// was not kept, that token once more.
void Session::State::evaluate(std::span<const TokenId> more, const std::stop_token& stop,
                              const Progress& progress) {
  const std::size_t before = tokens.size();
  tokens.insert(tokens.end(), more.begin(), more.end());
  try {
    if (tokens.empty() || (sequence.length() == tokens.size() && !logits.empty())) return;
    if (sequence.length() == tokens.size() && !engine.rewind(sequence, sequence.length() - 1))
      engine.rewind(sequence, 0);
    const std::span<const TokenId> rest = std::span(tokens).subspan(sequence.length());
    const StepInput input{.sequence = &sequence, .tokens = rest, .outputs = Outputs::last};
    logits = engine.step({&input, 1}, stop, progress);
  } catch (...) {
    tokens.resize(before);
    throw;
  }
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
    const std::vector<TokenId> more(tokens.begin(), tokens.end());  // they may be the session's own
    const Cancel::Scope scope(state_->cancel);
    state_->evaluate(more, scope.token(), progress);
  });
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
