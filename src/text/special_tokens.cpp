// The search for added tokens: the sorted texts serve as their own prefix tree.
// First step of encode().
#include "src/text/special_tokens.hpp"

#include <algorithm>

#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

namespace {

unsigned char byte_of(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

// Where the character before text[at] begins; at > 0.
std::size_t previous(std::string_view text, std::size_t at) {
  do --at;
  while ((byte_of(text, at) & 0xC0) == 0x80);
  return at;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before = begin > 0 && is_word_character(utf8_character(text, previous(text, begin)));
  const bool word_after = end < text.size() && is_word_character(utf8_character(text, end));
  return !word_before && !word_after;
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
  for (const SpecialToken& token : tokens_) ++first_byte_[byte_of(token.text, 0) + 1u];
  for (std::size_t byte = 1; byte < first_byte_.size(); ++byte) first_byte_[byte] += first_byte_[byte - 1];
}

// Control tokens end at `control_end` at the latest.
const SpecialToken* SpecialTokens::longest_at(std::string_view text, std::size_t at,
                                              std::size_t control_end) const noexcept {
  const unsigned first = byte_of(text, at);
  auto begin = tokens_.begin() + first_byte_[first];
  auto end = tokens_.begin() + first_byte_[first + 1];
  const SpecialToken* longest = nullptr;
  for (std::size_t depth = 1; begin != end; ++depth) {
    if (begin->text.size() == depth) {  // shorter ones sort first
      if (at + depth <= control_end || !begin->control) longest = &*begin;
      ++begin;
    }
    if (at + depth == text.size()) break;
    const unsigned char next = byte_of(text, at + depth);
    begin = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t.text, depth) < next; });
    end = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t.text, depth) == next; });
  }
  return longest;
}

std::vector<Fragment> SpecialTokens::split(std::string_view text, bool parse_control,
                                           std::span<const ByteRange> plain) const {
  std::vector<Fragment> fragments;
  std::size_t done = 0;
  const auto close_text = [&](std::size_t end) {
    if (end > done) fragments.push_back({text.substr(done, end - done), std::nullopt});
  };
  for (std::size_t at = 0; at < text.size() && !empty();) {
    while (!plain.empty() && plain.front().end <= at) plain = plain.subspan(1);
    const std::size_t next_plain = plain.empty() ? text.size() : plain.front().begin;
    const SpecialToken* token = longest_at(text, at, parse_control ? next_plain : 0);
    if (!token) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + token->text.size();
    at = end;  // what is stripped behind it may hold tokens that count all the same
    if (token->whole_word && !stands_alone(text, begin, end)) continue;
    if (token->strip_left) {
      while (begin > done && is_white_space(utf8_character(text, previous(text, begin)))) {
        begin = previous(text, begin);
      }
      begin = std::max(begin, done);
    }
    if (token->strip_right) {
      while (end < text.size() && is_white_space(utf8_character(text, end))) end += utf8_length(text[end]);
    }
    if (begin >= end) continue;  // the token before has stripped all of it
    close_text(begin);
    fragments.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  close_text(text.size());
  return fragments;
}

}  // namespace nibble::inline v0
