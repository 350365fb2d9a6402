// Cutting a fragment into the pieces that merges never cross.
// Third step of encode(), between the normalizer and the merges.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "src/text/pattern.hpp"

namespace nibble::inline v0 {

// What becomes of a match: a piece of its own, nothing, part of the piece beside it, or of a run of matches.
enum class SplitBehavior { isolated, removed, with_previous, with_next, contiguous };

struct Split {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // the text between matches plays the matches' part
};

class PreTokenizer {
 public:
  void add(Split split) { splits_.push_back(std::move(split)); }

  // One caller's cuts.
  class Cutter {
   public:
    Cutter(const PreTokenizer& pre_tokenizer, std::size_t text_bytes);
    Cutter(const Cutter&) = delete;
    Cutter& operator=(const Cutter&) = delete;
    // Hands out the pieces of `text` from left to right. Error(limit) as Pattern::Search::next.
    void cut(std::string_view text, const std::function<void(std::string_view)>& piece) {
      cut(0, text, piece);
    }

   private:
    void cut(std::size_t step, std::string_view text, const std::function<void(std::string_view)>& piece);

    const PreTokenizer& pre_tokenizer_;
    StepBudget budget_;
    std::vector<Pattern::Search> searches_;  // one for each split
  };

 private:
  std::vector<Split> splits_;  // each cuts the pieces the one before left
};

}  // namespace nibble::inline v0
