// Saved sequences: composing their bytes, and refusing what does not fit before anything changes.
// Between Engine and files; the layout is drawn in the header.
#include "src/engine/saved_state.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <string>

#include "nibble/core/checked.hpp"
#include "nibble/core/error.hpp"
#include "nibble/file/byte_source.hpp"
#include "src/checksum.hpp"

namespace nibble::inline v0 {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view magic = "nibbleKV";
constexpr std::uint32_t state_version = 2;  // 2: keys turned in their pages
constexpr std::size_t header_bytes = 56;
constexpr std::size_t checksum_bytes = 8;

template <class Number>
void put(std::span<std::byte> bytes, std::size_t& at, Number number) noexcept {
  std::memcpy(bytes.data() + at, &number, sizeof number);
  at += sizeof number;
}

void put(std::span<std::byte> bytes, std::size_t& at, std::span<const std::byte> from) noexcept {
  if (!from.empty()) std::memcpy(bytes.data() + at, from.data(), from.size());
  at += from.size();
}

// Sizes of the parts behind the header, or nothing where 64 bits do not hold their sum.
std::optional<std::uint64_t> total_bytes(std::uint64_t n_tokens, std::uint64_t n_logits,
                                         std::uint64_t n_pages, std::uint64_t page_bytes) noexcept {
  const auto pages = checked_mul(n_pages, page_bytes);
  return pages ? checked_add(*pages, header_bytes + 4 * n_tokens + 4 * n_logits + checksum_bytes) : pages;
}

std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

// Where the header's fields lie, for errors.
enum Field : std::uint64_t {
  at_version = 8,
  at_kv_type = 12,
  at_fingerprint = 16,
  at_layout = 24,
  at_page_bytes = 32,
  at_length = 40,
  at_n_tokens = 44,
  at_n_logits = 48,
  at_n_pages = 52,
};

struct Header {
  std::uint32_t kv_type, length, n_tokens, n_logits, n_pages;
  std::uint64_t fingerprint, layout, page_bytes;
};

Header read_header(ByteReader& reader) {
  const auto begins = reader.take(magic.size(), "magic");
  if (std::memcmp(begins.data(), magic.data(), magic.size()) != 0)
    throw reader.error(ErrorCode::bad_magic, 0, "magic", "other bytes", std::string(magic));
  if (const std::uint32_t version = reader.u32("version"); version != state_version)
    throw reader.error(ErrorCode::state_mismatch, at_version, "version", std::to_string(version),
                       std::to_string(state_version));
  Header h{};
  h.kv_type = reader.u32("KV type");
  h.fingerprint = reader.u64("fingerprint");
  h.layout = reader.u64("layout");
  h.page_bytes = reader.u64("page bytes");
  h.length = reader.u32("length");
  h.n_tokens = reader.u32("tokens");
  h.n_logits = reader.u32("logits");
  h.n_pages = reader.u32("pages");
  return h;
}

void check_sum(const ByteReader& reader, const Header& h, std::span<const std::byte> bytes) {
  const auto total = total_bytes(h.n_tokens, h.n_logits, h.n_pages, h.page_bytes);
  if (!total || bytes.size() < *total)
    throw reader.error(ErrorCode::truncated, bytes.size(), "state", std::to_string(bytes.size()) + " bytes",
                       total ? std::to_string(*total) : "fewer than 2^64");
  if (bytes.size() > *total)
    throw reader.error(ErrorCode::malformed, *total, "state", std::to_string(bytes.size()) + " bytes",
                       std::to_string(*total));
  std::uint64_t stored = 0;
  std::memcpy(&stored, bytes.data() + *total - checksum_bytes, checksum_bytes);
  if (stored != checksum_of(bytes.first(*total - checksum_bytes)))
    throw reader.error(ErrorCode::malformed, *total - checksum_bytes, "checksum", "another one",
                       "that of the bytes before it");
}

void check_key(const ByteReader& reader, const Header& h, const StateKey& key) {
  const auto check = [&](std::uint64_t at, const char* field, std::uint64_t found, std::uint64_t allowed) {
    if (found != allowed)
      throw reader.error(ErrorCode::state_mismatch, at, field, std::to_string(found),
                         std::to_string(allowed));
  };
  check(at_fingerprint, "model fingerprint", h.fingerprint, key.fingerprint);
  check(at_kv_type, "KV type", h.kv_type, static_cast<std::uint64_t>(key.kv_type));
  check(at_layout, "KV layout", h.layout, key.layout);
  check(at_page_bytes, "page bytes", h.page_bytes, key.page_bytes);
}

void check_counts(const ByteReader& reader, const Header& h, const StateBounds& bounds) {
  const std::uint32_t most = std::max(h.length, h.n_tokens);
  if (most > bounds.context)
    throw reader.error(ErrorCode::context_overflow, most == h.length ? at_length : at_n_tokens, "length",
                       std::to_string(most), "at most " + std::to_string(bounds.context));
  if (h.n_tokens < h.length)
    throw reader.error(ErrorCode::malformed, at_n_tokens, "tokens", std::to_string(h.n_tokens),
                       "at least the " + std::to_string(h.length) + " evaluated ones");
  const bool may_have_logits = h.length == h.n_tokens && h.length > 0;
  if (h.n_logits != 0 && (!may_have_logits || h.n_logits != bounds.vocab_size))
    throw reader.error(ErrorCode::malformed, at_n_logits, "logits", std::to_string(h.n_logits),
                       may_have_logits ? "0 or " + std::to_string(bounds.vocab_size) : "0");
  const std::uint64_t n_pages = count_needed_pages(bounds.layers, h.length);
  if (h.n_pages != n_pages)
    throw reader.error(ErrorCode::malformed, at_n_pages, "pages", std::to_string(h.n_pages),
                       std::to_string(n_pages));
}

void check_tokens(const ByteReader& reader, std::span<const std::byte> tokens, std::uint32_t vocab_size) {
  for (std::size_t at = 0; at < tokens.size(); at += sizeof(TokenId)) {
    TokenId token = 0;
    std::memcpy(&token, tokens.data() + at, sizeof token);
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocab_size)
      throw reader.error(ErrorCode::malformed, header_bytes + at, "token", std::to_string(token),
                         "tokens below " + std::to_string(vocab_size));
  }
}

}  // namespace

std::uint32_t first_needed_page(const KvLayer& layer, std::uint32_t length) noexcept {
  return first_visible(layer, length) / kv_page_size;
}

std::uint64_t count_needed_pages(std::span<const KvLayer> layers, std::uint32_t length) noexcept {
  const std::uint64_t end = (std::uint64_t{length} + kv_page_size - 1) / kv_page_size;
  std::uint64_t n = 0;
  for (const KvLayer& layer : layers) {
    const std::uint64_t first = first_needed_page(layer, length);
    n += end > first ? end - first : 0;
  }
  return n;
}

StateDraft draft_state(const StateKey& key, std::uint32_t length, std::uint64_t n_pages,
                       std::span<const TokenId> tokens, std::span<const float> logits) {
  const auto total = total_bytes(tokens.size(), logits.size(), n_pages, key.page_bytes);
  if (!total || n_pages > std::numeric_limits<std::uint32_t>::max()) throw Error::out_of_memory();
  StateDraft draft;
  draft.bytes.resize(*total);
  std::size_t at = 0;
  const std::span<std::byte> out = draft.bytes;
  put(out, at, std::as_bytes(std::span(magic)));
  put(out, at, state_version);
  put(out, at, static_cast<std::uint32_t>(key.kv_type));
  put(out, at, key.fingerprint);
  put(out, at, key.layout);
  put(out, at, key.page_bytes);
  put(out, at, length);
  put(out, at, static_cast<std::uint32_t>(tokens.size()));
  put(out, at, static_cast<std::uint32_t>(logits.size()));
  put(out, at, static_cast<std::uint32_t>(n_pages));
  put(out, at, std::as_bytes(tokens));
  put(out, at, std::as_bytes(logits));
  draft.pages = out.subspan(at, n_pages * key.page_bytes);
  return draft;
}

void seal_state(std::span<std::byte> bytes) noexcept {
  std::size_t at = bytes.size() - checksum_bytes;
  put(bytes, at, checksum_of(bytes.first(at)));
}

StateParts parse_state(std::span<const std::byte> bytes, const StateKey& key, const StateBounds& bounds,
                       std::string_view source) {
  ByteReader reader(bytes, source);
  const Header h = read_header(reader);
  check_sum(reader, h, bytes);
  check_key(reader, h, key);
  check_counts(reader, h, bounds);
  StateParts parts{.key = key, .length = h.length, .tokens = {}, .logits = {}, .pages = {}};
  parts.tokens = reader.take(std::uint64_t{h.n_tokens} * sizeof(TokenId), "tokens");
  parts.logits = reader.take(std::uint64_t{h.n_logits} * sizeof(float), "logits");
  parts.pages = reader.take(h.n_pages * h.page_bytes, "pages");
  check_tokens(reader, parts.tokens, bounds.vocab_size);
  return parts;
}

}  // namespace nibble::inline v0
