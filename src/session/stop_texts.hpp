// Finds stop texts in a stream of text and holds back what may be the beginning of one.
// Between TextStream and the caller of Session::generate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/limits.hpp"

namespace nibble::inline v0 {

class StopTexts {
 public:
  // Errors: invalid_argument (an empty text, or one that is not UTF-8), limit.
  StopTexts(const std::vector<std::string>& texts, const Limits& limits);

  // Takes whole characters and returns those that can be handed out: none that belong to a stop text, or to
  // what may become one. Nothing more after a match.
  std::string push(std::string_view text);
  // What was held back, now that nothing follows; empty after a match.
  std::string finish();
  bool matched() const noexcept { return matched_; }

 private:
  const std::vector<std::string>& texts_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace nibble::inline v0
