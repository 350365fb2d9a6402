// Single positions of a page of keys and values: rounding and arranging them.
// The drawing is in the header.
#include "nibble/backend/kv_page.hpp"

#include <algorithm>
#include <cstring>

#include "nibble/quant/formats.hpp"

namespace nibble::inline v0 {

namespace {

// A piece of a row in its format: a block of Q8_0, or at most as many elements of the others.
using Piece = std::byte[kv_scale_block * sizeof(float)];

// Where one position's elements lie, or its scales: `first` and, `step` elements apart, those after it.
struct Places {
  Places(KvPart part, std::size_t row, std::size_t slot)
      : first(part == KvPart::keys ? slot : slot * row), step(part == KvPart::keys ? kv_page_size : 1) {}
  std::size_t first, step;
};

enum class Way { write, read };

// n elements of `size` bytes between a piece and a page.
template <std::size_t size, Way way, class Byte>
void move(Byte* page, std::byte* piece, Places places, std::size_t begin, std::size_t n) {
  Byte* at = page + (places.first + begin * places.step) * size;
  for (std::size_t i = 0; i < n; ++i, at += places.step * size, piece += size) {
    if constexpr (way == Way::write)
      std::memcpy(at, piece, size);
    else
      std::memcpy(piece, at, size);
  }
}

// Elements [begin, begin + n) of a position between a piece and a head's part of a page.
template <Way way, class Byte>
void move_piece(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, Byte* head, Piece& piece,
                std::size_t begin, std::size_t n) {
  const Places places(part, head_dim, slot);
  switch (type) {
    case KvType::F32: return move<4, way>(head, piece, places, begin, n);
    case KvType::F16:
    case KvType::BF16: return move<2, way>(head, piece, places, begin, n);
    case KvType::Q8_0: {
      const Places scales(part, head_dim / kv_scale_block, slot);
      move<2, way>(head + kv_page_size * head_dim, piece, scales, begin / kv_scale_block, 1);
      return move<1, way>(head, piece + 2, places, begin, n);
    }
  }
}

}  // namespace

std::size_t kv_head_bytes(KvType type, std::size_t head_dim) noexcept {
  return kv_page_size * row_bytes(kv_format(type), head_dim);
}

void write_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, const float* in,
                std::byte* head) noexcept {
  for (std::size_t d = 0; d < head_dim; d += kv_scale_block) {
    const std::size_t n = std::min(kv_scale_block, head_dim - d);
    Piece piece;
    kv_format(type).encode(in + d, piece, n, nullptr);
    move_piece<Way::write>(type, part, head_dim, slot, head, piece, d, n);
  }
}

void read_slot(KvType type, KvPart part, std::size_t head_dim, std::size_t slot, const std::byte* head,
               float* out) noexcept {
  for (std::size_t d = 0; d < head_dim; d += kv_scale_block) {
    const std::size_t n = std::min(kv_scale_block, head_dim - d);
    Piece piece;
    move_piece<Way::read>(type, part, head_dim, slot, head, piece, d, n);
    kv_format(type).decode(piece, out + d, n);
  }
}

}  // namespace nibble::inline v0
