// Single positions of a page of keys and values: rounding and arranging them.
// The drawing is in the header.
#include "nibble/backend/kv_page.hpp"

#include <algorithm>
#include <cstring>

#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

// Calls copy(bytes in the page, offset in the row as its format has it, size) for each element, and each
// scale, of elements [first, first + n) of a row: one block of Q8_0, or as many elements.
template <class Byte, class Copy>
void for_elements(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, std::size_t first,
                  std::size_t n, Byte* head, const Copy& copy) {
  const auto index = [&](std::size_t i, std::size_t row) {
    return part == KvPart::keys ? i * kv_page_size + slot : slot * row + i;
  };
  const bool coded = type == KvType::Q8_0;
  const std::size_t size = coded ? 1 : kv_format(type).block_bytes, scale_size = coded ? 2 : 0;
  for (std::size_t i = 0; i < n; ++i)
    copy(head + index(first + i, head_dim) * size, scale_size + i * size, size);
  if (coded) {
    Byte* scales = head + kv_page_size * head_dim;
    copy(scales + index(first / kv_scale_block, head_dim / kv_scale_block) * scale_size, 0, scale_size);
  }
}

constexpr std::size_t most_row_bytes = kv_scale_block * sizeof(float);

}  // namespace

std::size_t kv_head_bytes(KvType type, std::size_t head_dim) noexcept {
  return kv_page_size * row_bytes(kv_format(type), head_dim);
}

void write_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, const float* in,
                std::byte* head) noexcept {
  for (std::size_t first = 0; first < head_dim; first += kv_scale_block) {
    const std::size_t n = std::min(kv_scale_block, head_dim - first);
    std::byte row[most_row_bytes];
    kv_format(type).encode(in + first, row, n, nullptr);
    for_elements(
        type, part, head_dim, slot, first, n, head,
        [&](std::byte* at, std::size_t from, std::size_t size) { std::memcpy(at, row + from, size); });
  }
}

void read_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, const std::byte* head,
               float* out) noexcept {
  for (std::size_t first = 0; first < head_dim; first += kv_scale_block) {
    const std::size_t n = std::min(kv_scale_block, head_dim - first);
    std::byte row[most_row_bytes];
    for_elements(
        type, part, head_dim, slot, first, n, head,
        [&](const std::byte* at, std::size_t to, std::size_t size) { std::memcpy(row + to, at, size); });
    kv_format(type).decode(row, out + first, n);
  }
}

}  // namespace nibble::inline v0
