// The normalizer's rewrites; NFC from utf8proc's decomposition and composition.
// Second step of encode().
#include "src/text/normalizer.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <new>

#include "nibble/core/error.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

namespace {

// No character below U+0300 changes under composition while none from there up is near.
bool is_composed_already(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xCC; });
}

std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> out;
  out.reserve(text.size());
  constexpr auto how = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  std::array<utf8proc_int32_t, 32> parts;  // the longest canonical decomposition has 4
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
    int boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(utf8_character(text, at)),
                                           parts.data(), parts.size(), how, &boundary);
    out.insert(out.end(), parts.data(), parts.data() + n);
  }
  return out;
}

// Marks in their canonical order: a stable sort of each run by combining class. utf8proc_decompose would do
// it by exchanging neighbours, in quadratic time.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  const auto combining = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  const auto is_starter = [&](utf8proc_int32_t c) { return combining(c) == 0; };
  for (auto at = characters.begin(); at != characters.end();) {
    const auto begin = std::find_if_not(at, characters.end(), is_starter);
    at = std::find_if(begin, characters.end(), is_starter);
    std::stable_sort(begin, at, [&](auto a, auto b) { return combining(a) < combining(b); });
  }
}

// Replacements may follow one another in a file and each double the text.
void check_growth(std::size_t now, std::size_t before) {
  const std::uint64_t allowed = 16 * std::uint64_t{before} + (1u << 20);
  if (now <= allowed) return;
  throw Error({.code = ErrorCode::limit,
               .source = "encode",
               .field = "normalizer",
               .found = std::to_string(before) + " bytes of text grown to " + std::to_string(now),
               .allowed = "at most " + std::to_string(allowed)});
}

std::string replace_all(std::string_view text, const Rewrite& step, std::size_t original) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at; (at = text.find(step.from)) != text.npos; text.remove_prefix(at + step.from.size())) {
    check_growth(out.size() + at + step.to.size(), original);
    out += text.substr(0, at);
    out += step.to;
  }
  check_growth(out.size() + text.size(), original);
  return out += text;
}

}  // namespace

std::string compose(std::string_view text) {
  if (is_composed_already(text)) return std::string(text);
  std::vector<utf8proc_int32_t> characters = decompose(text);
  order_marks(characters);
  const auto n = utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
                                          static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    append_utf8(out, static_cast<char32_t>(characters[static_cast<std::size_t>(i)]));
  }
  return out;
}

std::string_view rewrite(const std::vector<Rewrite>& rewrites, std::string_view text, bool at_beginning,
                         std::string& storage) {
  const std::size_t original = text.size();
  for (const Rewrite& step : rewrites) {
    if (text.empty()) break;
    switch (step.kind) {
      case Rewrite::Kind::compose: storage = compose(text); break;
      case Rewrite::Kind::replace: storage = replace_all(text, step, original); break;
      case Rewrite::Kind::prepend:
        if ((step.only_at_beginning && !at_beginning) || (step.unless_present && text.starts_with(step.to))) {
          continue;
        }
        check_growth(step.to.size() + text.size(), original);
        storage = step.to + std::string(text);
        break;
    }
    text = storage;
  }
  return text;
}

}  // namespace nibble::inline v0
