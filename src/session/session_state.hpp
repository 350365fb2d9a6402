// What a session holds: tokens, and how many of them the engine has evaluated.
// Behind Session; session.cpp keeps the two in step, generate.cpp adds tokens one by one.
#pragma once

#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "nibble/session.hpp"
#include "src/session/cancel.hpp"

namespace nibble::inline v0 {

struct Session::State {
  State(Engine engine_of, Sequence own) : engine(std::move(engine_of)), sequence(std::move(own)) {}

  Engine engine;
  Sequence sequence;            // the first sequence.length() tokens are evaluated
  std::vector<TokenId> tokens;  // all of them
  std::vector<float> logits;    // after the last token; empty where that is not evaluated
  Cancel cancel;

  class Run;  // one generation under way

  const Tokenizer& tokenizer() const noexcept { return engine.model().tokenizer(); }
  std::vector<TokenId> encode(std::string_view text, bool parse_special) const;
  void evaluate(std::span<const TokenId> more, const std::stop_token& stop, const Progress& progress);
  bool continues_text() const;
};

}  // namespace nibble::inline v0
