// The cuts: matches and gaps alternate, the split's behaviour joins some of them again.
// Third step of encode().
#include "src/text/pre_tokenizer.hpp"

#include <algorithm>

namespace nibble::inline v0 {

namespace {

struct Part {
  Range range;
  bool match = false;
};

// Matches and the gaps between them, none empty.
std::vector<Part> parts_of(std::string_view text, Pattern::Search& search, bool invert) {
  std::vector<Part> parts;
  std::size_t done = 0;
  while (const auto found = search.next(text, done)) {
    if (found->begin > done) parts.push_back({{done, found->begin}, invert});
    parts.push_back({*found, !invert});
    done = found->end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, invert});
  return parts;
}

bool joins(SplitBehavior behavior, const Part& left, const Part& right) {
  switch (behavior) {
    case SplitBehavior::with_previous: return right.match && !left.match;
    case SplitBehavior::with_next: return left.match && !right.match;
    case SplitBehavior::contiguous: return left.match == right.match;
    default: return false;
  }
}

}  // namespace

PreTokenizer::Cutter::Cutter(const PreTokenizer& pre_tokenizer, std::size_t text_bytes)
    : pre_tokenizer_(pre_tokenizer), budget_(text_bytes) {
  searches_.reserve(pre_tokenizer.splits_.size());
  for (const Split& split : pre_tokenizer.splits_) searches_.emplace_back(split.pattern, budget_);
}

void PreTokenizer::Cutter::cut(std::size_t step, std::string_view text,
                               const std::function<void(std::string_view)>& piece) {
  if (text.empty()) return;
  if (step == searches_.size()) return piece(text);
  const Split& split = pre_tokenizer_.splits_[step];
  const std::vector<Part> parts = parts_of(text, searches_[step], split.invert);
  for (std::size_t i = 0; i < parts.size();) {
    const std::size_t first = i++;
    while (i < parts.size() && joins(split.behavior, parts[i - 1], parts[i])) ++i;
    if (split.behavior == SplitBehavior::removed && parts[first].match) continue;
    const std::size_t begin = parts[first].range.begin;
    cut(step + 1, text.substr(begin, parts[i - 1].range.end - begin), piece);
  }
}

}  // namespace nibble::inline v0
