// The fields GGUF is made of, read from a hostile file: counts, strings, names, each checked where it stands.
// Shared by the readers of GGUF's metadata and of its tensor table.
#pragma once

#include <string>
#include <string_view>

#include "nibble/core/limits.hpp"
#include "nibble/file/byte_source.hpp"
#include "nibble/file/metadata.hpp"

namespace nibble::inline v0 {

class GgufFields : public ByteReader {
 public:
  GgufFields(const ByteSource& source, const Limits& limits)
      : ByteReader(source.bytes(), source.name()), limits_(limits) {}

  const Limits& limits() const noexcept { return limits_; }

  // Refuses a count, read at byte `at`, of things that take at least `min_bytes` each: truncated where the
  // bytes left cannot hold them, limit above `limit`.
  void check_count(std::uint64_t count, std::uint64_t min_bytes, std::uint64_t limit, std::uint64_t at,
                   std::string_view field) const;
  // A string of at most `limit` bytes; points into the file. Errors stand at its length.
  std::string_view string(std::string_view field, std::uint64_t limit);
  // A key or a tensor's name: UTF-8, not empty, without NUL. Errors stand at its length.
  std::string name(std::string_view field, std::uint64_t limit);

 private:
  const Limits& limits_;
};

// `n_entries` keys with their values. Errors: those of parse_gguf.
Metadata read_gguf_metadata(GgufFields& in, std::uint64_t n_entries);

}  // namespace nibble::inline v0
