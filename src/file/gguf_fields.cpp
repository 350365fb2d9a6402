// Reading GGUF's fields.
// Under gguf_metadata.cpp and gguf.cpp.
#include "src/file/gguf_fields.hpp"

#include <utf8proc.h>

#include "src/file/in_quotes.hpp"

namespace nibble::inline v0 {

namespace {

bool is_utf8_without_nul(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(at, left, &character);
    if (n <= 0 || character == 0) return false;
    at += n;
    left -= n;
  }
  return true;
}

}  // namespace

void GgufFields::check_count(std::uint64_t count, std::uint64_t min_bytes, std::uint64_t limit,
                             std::uint64_t at, std::string_view field) const {
  if (count > left() / min_bytes) {
    throw error(ErrorCode::truncated, at, field, std::to_string(count),
                "at most " + std::to_string(left() / min_bytes) + " in the " + std::to_string(left()) +
                    " bytes left");
  }
  if (count > limit) {
    throw error(ErrorCode::limit, at, field, std::to_string(count), "at most " + std::to_string(limit));
  }
}

std::string_view GgufFields::string(std::string_view field, std::uint64_t limit) {
  const std::uint64_t at = offset();
  const std::uint64_t length = u64(field);
  check_count(length, 1, limit, at, field);
  const auto bytes = take(length, field);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string GgufFields::name(std::string_view field, std::uint64_t limit) {
  const std::uint64_t at = offset();
  const std::string_view text = string(field, limit);
  if (text.empty() || !is_utf8_without_nul(text)) {
    throw error(ErrorCode::malformed, at, field, in_quotes(text), "UTF-8, not empty, without NUL");
  }
  return std::string(text);
}

}  // namespace nibble::inline v0
