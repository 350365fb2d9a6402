// Placing buffers by lifetime, and sizes that cannot wrap.
// Used by the layout of each backend.
#include "kernels/memory.hpp"

#include <algorithm>

#include "nibble/core/aligned_bytes.hpp"
#include "nibble/core/checked.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

namespace {

std::uint64_t or_limit(std::optional<std::uint64_t> bytes) {
  if (!bytes) throw Error({.code = ErrorCode::limit, .source = "backend", .field = "bytes"});
  return *bytes;
}

}  // namespace

std::uint64_t add_bytes(std::uint64_t a, std::uint64_t b) { return or_limit(checked_add(a, b)); }
std::uint64_t multiply_bytes(std::uint64_t a, std::uint64_t b) { return or_limit(checked_mul(a, b)); }
std::uint64_t align_bytes(std::uint64_t a) { return or_limit(checked_round_up(a, line_bytes)); }

std::uint64_t place(std::span<Lifetime> buffers) {
  std::vector<Lifetime*> order;  // those placed so far come first, by offset
  for (Lifetime& buffer : buffers) order.push_back(&buffer);
  std::sort(order.begin(), order.end(), [](const Lifetime* a, const Lifetime* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  std::uint64_t end = 0;
  for (auto next = order.begin(); next != order.end(); ++next) {
    Lifetime& buffer = **next;
    for (auto placed = order.begin(); placed != next; ++placed) {
      const Lifetime& other = **placed;
      const bool together = buffer.first <= other.last && other.first <= buffer.last;
      const bool overlap =
          buffer.offset < other.offset + other.bytes && other.offset < add_bytes(buffer.offset, buffer.bytes);
      if (together && overlap) buffer.offset = align_bytes(other.offset + other.bytes);
    }
    end = std::max(end, align_bytes(add_bytes(buffer.offset, buffer.bytes)));
    const auto after =
        std::upper_bound(order.begin(), next, &buffer,
                         [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; });
    std::rotate(after, next, next + 1);
  }
  return end;
}

}  // namespace nibble::inline v0
