// PCRE2 behind text/pattern.hpp: compilation, just-in-time code, and steps counted through callouts.
// Under the pre-tokenizer.
#include "src/text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <new>

#include "src/file/in_quotes.hpp"
#include "src/text/pattern_syntax.hpp"
#include "src/text/pre_patterns.hpp"
#include "src/text/utf8.hpp"

namespace nibble::inline v0 {

namespace {

constexpr std::uint32_t heap_kib = 64 * 1'024;   // for one match
constexpr std::size_t max_trusted_literal = 64;  // bytes: the search takes text times literal

void* allocate(PCRE2_SIZE n, void*) { return ::operator new(n, std::nothrow); }
void release(void* memory, void*) { ::operator delete(memory); }

// unique_ptr's deleters for PCRE2's objects.
struct Free {
  void operator()(pcre2_general_context* p) const { pcre2_general_context_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

template <class T>
Owned<T> own(T* p) {
  if (!p) throw std::bad_alloc();
  return Owned<T>(p);
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 128> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

// Where a match is; each callout takes one step and the distance moved since the last.
struct Progress {
  StepBudget& budget;
  std::size_t at = 0;
};

int count_step(pcre2_callout_block* block, void* data) {
  Progress& progress = *static_cast<Progress*>(data);
  const std::size_t now = block->current_position;
  const std::size_t cost = 1 + (now > progress.at ? now - progress.at : progress.at - now);
  progress.at = now;
  if (cost > progress.budget.left) return PCRE2_ERROR_MATCHLIMIT;
  progress.budget.left -= cost;
  return 0;
}

}  // namespace

Error Origin::error(ErrorCode code, std::string found, std::string allowed) const {
  return Error({.code = code,
                .source = source,
                .position = position,
                .field = field,
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

struct Pattern::Compiled {
  Owned<pcre2_general_context> memory;
  Owned<pcre2_code> code;
  bool counted = false;
  Origin origin;
};

Pattern::Pattern(const std::string& pcre2, bool trusted, Origin origin) {
  auto compiled = std::make_shared<Compiled>();
  compiled->memory = own(pcre2_general_context_create(allocate, release, nullptr));
  const auto context = own(pcre2_compile_context_create(compiled->memory.get()));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const std::uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | (trusted ? 0 : PCRE2_AUTO_CALLOUT);
  int failure = 0;
  PCRE2_SIZE at = 0;
  compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pcre2.data()), pcre2.size(), options,
                                     &failure, &at, context.get()));
  if (!compiled->code) {
    if (failure == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
    throw origin.error(ErrorCode::unsupported, message_of(failure), "a regular expression that compiles");
  }
  // Where there is no just-in-time compiler, matching is slower and otherwise the same.
  if (trusted) pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE);
  compiled->counted = !trusted;
  compiled->origin = std::move(origin);
  compiled_ = std::move(compiled);
}

namespace {

void check_length(std::string_view pattern, const Origin& origin, const Limits& limits) {
  if (pattern.size() <= limits.pattern_bytes) return;
  throw origin.error(ErrorCode::limit, std::to_string(pattern.size()) + " bytes",
                     "at most " + std::to_string(limits.pattern_bytes));
}

std::string translated(std::string_view pattern, const Origin& origin, const Limits& limits) {
  check_length(pattern, origin, limits);
  if (pattern == white_space_at_end) pattern = white_space_at_end_linear;
  PatternSyntax syntax = translate_pattern(pattern);
  if (syntax.refused) {
    throw origin.error(
        ErrorCode::unsupported,
        in_quotes(pattern.substr(*syntax.refused)) + " at offset " + std::to_string(*syntax.refused),
        "groups, classes of characters and general categories, repeats, look-around");
  }
  return std::move(syntax.pcre2);
}

std::string spelled_out(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string pattern;
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
    const char32_t character = utf8_character(text, at);
    pattern += "\\x{";
    for (int shift = 20; shift >= 0; shift -= 4) pattern += digits[character >> shift & 15];
    pattern += '}';
  }
  return pattern;
}

}  // namespace

Pattern::Pattern(std::string_view pattern, Origin origin, const Limits& limits)
    : Pattern(translated(pattern, origin, limits), is_known_pattern(pattern), origin) {}

Pattern Pattern::literal(std::string_view text, Origin origin, const Limits& limits) {
  check_length(text, origin, limits);
  return Pattern(spelled_out(text), text.size() <= max_trusted_literal, std::move(origin));
}

struct Pattern::Search::State {
  std::shared_ptr<const Compiled> compiled;
  Owned<pcre2_match_context> context;
  Owned<pcre2_match_data> match;
  Progress progress;
};

Pattern::Search::Search(const Pattern& pattern, StepBudget& budget)
    : state_(new State{pattern.compiled_, {}, {}, {budget}}) {
  pcre2_general_context* memory = pattern.compiled_->memory.get();
  state_->context = own(pcre2_match_context_create(memory));
  state_->match = own(pcre2_match_data_create(1, memory));
  pcre2_set_match_limit(state_->context.get(), ~0u);  // long texts take many steps; callouts count better
  if (pattern.compiled_->counted) {
    pcre2_set_heap_limit(state_->context.get(), heap_kib);
    pcre2_set_callout(state_->context.get(), count_step, &state_->progress);
  }
}
Pattern::Search::Search(Search&&) noexcept = default;
Pattern::Search::~Search() = default;

std::optional<Range> Pattern::Search::next(std::string_view text, std::size_t from) {
  State& s = *state_;
  while (from < text.size()) {
    s.progress.at = from;
    const int found = pcre2_match(s.compiled->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), from, PCRE2_NO_UTF_CHECK, s.match.get(), s.context.get());
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (found == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    if (found < 0) {
      throw s.compiled->origin.error(ErrorCode::limit, message_of(found),
                                     "a pattern whose work grows with the text's length only");
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(s.match.get());
    if (range[1] > range[0]) return Range{range[0], range[1]};
    if (range[0] >= text.size()) return std::nullopt;
    from = range[0] + utf8_length(text[range[0]]);
  }
  return std::nullopt;
}

}  // namespace nibble::inline v0
