// A compiled regular expression and a bounded search with it. The one place that knows PCRE2.
// Under the pre-tokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/core/error.hpp"
#include "nibble/core/limits.hpp"

namespace nibble::inline v0 {

// Where a pattern came from, for errors.
struct Origin {
  std::string source;
  std::string position;
  std::string field;

  Error error(ErrorCode code, std::string found, std::string allowed) const;
};

struct Range {
  std::size_t begin = 0;  // bytes
  std::size_t end = 0;
};

// Immutable, shared between threads. The patterns of published models are known to take linear time and run
// at full speed; any other is run with every step counted.
class Pattern {
 public:
  // Errors: limit (longer than pattern_bytes), unsupported (a construct outside the subset, by its offset;
  // a pattern that does not compile); at `origin`.
  Pattern(std::string_view pattern, Origin origin, const Limits& limits);
  // Matches `text` itself.
  static Pattern literal(std::string_view text, Origin origin, const Limits& limits);

  class Search;

 private:
  struct Compiled;
  Pattern(const std::string& pcre2, bool trusted, Origin origin);

  std::shared_ptr<const Compiled> compiled_;
};

// The steps that patterns not known to be linear may still take in one call of encode().
struct StepBudget {
  explicit StepBudget(std::size_t text_bytes) : left(1'000'000 + 200 * std::uint64_t{text_bytes}) {}
  std::uint64_t left;
};

// One caller's searches with one pattern: the memory for a match.
class Pattern::Search {
 public:
  // `budget` outlives this.
  Search(const Pattern& pattern, StepBudget& budget);
  Search(Search&&) noexcept;
  ~Search();

  // The first match of at least one character in `text` (valid UTF-8) that begins at `from` or later.
  // Error(limit) where the pattern takes more steps than the budget has.
  std::optional<Range> next(std::string_view text, std::size_t from);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nibble::inline v0
