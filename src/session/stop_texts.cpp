// Stop texts: the earliest match ends the stream, a possible beginning of one waits.
// Between TextStream and the caller of Session::generate.
#include "src/session/stop_texts.hpp"

#include <algorithm>
#include <utility>

#include "nibble/core/error.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::inline v0 {
namespace {

Error bad_stop(ErrorCode code, std::string found, std::string allowed) {
  return Error({.code = code,
                .source = "generate",
                .field = "stop",
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

// Bytes at the end of `text` that are a proper beginning of `stop`.
std::size_t beginning_at_end(std::string_view text, std::string_view stop) noexcept {
  std::size_t n = std::min(text.size(), stop.size() - 1);
  while (n > 0 && !text.ends_with(stop.substr(0, n))) --n;
  return n;
}

}  // namespace

StopTexts::StopTexts(const std::vector<std::string>& texts, const Limits& limits) : texts_(texts) {
  if (texts.size() > limits.stop_texts)
    throw bad_stop(ErrorCode::limit, std::to_string(texts.size()) + " texts",
                   "at most " + std::to_string(limits.stop_texts));
  for (const std::string& text : texts) {
    if (text.size() > limits.stop_text_bytes)
      throw bad_stop(ErrorCode::limit, std::to_string(text.size()) + " bytes",
                     "at most " + std::to_string(limits.stop_text_bytes));
    if (text.empty()) throw bad_stop(ErrorCode::invalid_argument, "an empty text", "one character or more");
    if (find_invalid_utf8(text)) throw bad_stop(ErrorCode::invalid_argument, "invalid UTF-8", "UTF-8");
  }
}

std::string StopTexts::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  std::size_t first = std::string::npos, waiting = 0;
  for (const std::string& stop : texts_) {
    first = std::min(first, held_.find(stop));
    waiting = std::max(waiting, beginning_at_end(held_, stop));
  }
  matched_ = first != std::string::npos;
  const std::size_t free = matched_ ? first : held_.size() - waiting;
  std::string out = held_.substr(0, free);
  held_.erase(0, free);
  return out;
}

std::string StopTexts::finish() { return matched_ ? std::string() : std::exchange(held_, {}); }

}  // namespace nibble::inline v0
