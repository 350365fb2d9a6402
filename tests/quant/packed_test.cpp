// Packing: nothing lost for any format, row tile and ragged edge, and every code where the drawing has it.
#include "nibble/quant/packed.hpp"

#include <algorithm>

#include "quant/blocks.hpp"
#include "support/catch.hpp"

using namespace nibble;
using namespace quant_test;

namespace {

constexpr std::uint32_t row_tiles[] = {1, 4, 8, 16, 32};

// Packed and unpacked again, into memory that held other bytes.
std::vector<std::byte> there_and_back(const Format& format, std::uint32_t tile, std::size_t rows,
                                      std::size_t cols, const std::vector<std::byte>& file) {
  const PackedLayout layout = packed_layout(format, tile);
  const std::size_t tile_bytes = packed_row_tile_bytes(layout, cols), row = row_bytes(format, cols);
  std::vector<std::byte> packed(packed_bytes(layout, rows, cols), std::byte{0xcd}), back(file.size());
  for (std::size_t first = 0, at = 0; first < rows; first += tile, at += tile_bytes) {
    const std::size_t n = std::min<std::size_t>(tile, rows - first);
    pack_row_tile(format, layout, file.data() + first * row, n, cols, packed.data() + at);
    unpack_row_tile(format, layout, packed.data() + at, n, cols, back.data() + first * row);
  }
  return back;
}

}  // namespace

TEST_CASE("packing keeps every bit of every format, row tile and ragged shape") {
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    const std::size_t step = format.block_size;
    for (const std::uint32_t tile : row_tiles) {
      for (const std::size_t rows : {1, 3, 4, 7, 8, 16, 17, 33}) {
        for (const std::size_t blocks : {1, 2, 3, 5, 8, 17}) {
          CAPTURE(tile, rows, blocks);
          const std::vector<std::byte> file = random_bytes(rows * blocks * format.block_bytes, 17);
          REQUIRE(there_and_back(format, tile, rows, blocks * step, file) == file);
        }
      }
    }
  }
}

// Whole tiles are packed by words, others block by block: two ways to the same bytes.
TEST_CASE("rows that are missing are zero, and so is the rest of the last cache line") {
  for (const Format& format : formats()) {
    for (const std::uint32_t tile : row_tiles) {
      if (tile == 1) continue;  // no row can be missing
      for (const std::size_t blocks : {1, 2, 3, 5, 8, 17}) {
        CAPTURE(format.name, tile, blocks);
        const PackedLayout layout = packed_layout(format, tile);
        const std::size_t cols = blocks * format.block_size, rows = tile * 2 / 3;
        std::vector<std::byte> file = random_bytes(rows * row_bytes(format, cols), 29);
        std::vector<std::byte> short_tile(packed_row_tile_bytes(layout, cols), std::byte{0xcd}),
            full_tile = short_tile;
        pack_row_tile(format, layout, file.data(), rows, cols, short_tile.data());
        file.resize(tile * row_bytes(format, cols));
        pack_row_tile(format, layout, file.data(), tile, cols, full_tile.data());
        CHECK(short_tile == full_tile);
        const auto used = std::ptrdiff_t(packed_blocks(layout, cols) * layout.block_bytes());
        CHECK(std::all_of(full_tile.begin() + used, full_tile.end(),
                          [](std::byte b) { return b == std::byte{0}; }));
      }
    }
  }
}

TEST_CASE("row tiles are cache lines, and cost little") {
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    for (const std::uint32_t tile : {4u, 8u, 16u}) {
      const PackedLayout layout = packed_layout(format, tile);
      CHECK((format.split == nullptr || layout.tile_blocks * layout.block_bytes() % 64 == 0));
      CHECK(packed_row_tile_bytes(layout, format.block_size) % 64 == 0);
      const double file = 4096.0 * double(row_bytes(format, 4096));
      CHECK(double(packed_bytes(layout, 4096, 4096)) <= 1.037 * file);
    }
  }
  const PackedLayout q4_0 = packed_layout(*find_format("Q4_0"), 16);
  CHECK(q4_0.tile_blocks == 2);
  CHECK(q4_0.tile_blocks * q4_0.block_bytes() == 576);
}

TEST_CASE("codes, scales and mins lie where the drawing has them") {
  constexpr std::size_t tile = 8, blocks = 3;
  for (const Format& format : formats()) {
    if (format.split == nullptr) continue;
    CAPTURE(format.name);
    const PackedLayout layout = packed_layout(format, tile);
    const CodeLayout& codes = format.codes;
    const std::size_t cols = blocks * format.block_size, row_size = row_bytes(format, cols);
    const std::vector<std::byte> file = random_bytes(tile * row_size, 23);
    std::vector<std::byte> packed(packed_row_tile_bytes(layout, cols));
    pack_row_tile(format, layout, file.data(), tile, cols, packed.data());
    const auto byte = [&](std::size_t at) { return static_cast<unsigned>(packed[at]); };

    const unsigned low = codes.code_bits == 8   ? 8
                         : codes.code_bits >= 4 ? 4
                                                : 2,
                   high = codes.code_bits - low;
    int wrong = 0;
    for (std::size_t row = 0; row < tile; ++row) {
      for (std::size_t block = 0; block < blocks; ++block) {
        BlockParts parts;
        format.split(file.data() + row * row_size + block * format.block_bytes, parts);
        const std::size_t in_tile = block % layout.tile_blocks, first = block - in_tile;
        const std::size_t n = std::min<std::size_t>(layout.tile_blocks, blocks - first);
        const std::size_t begin = first * layout.block_bytes();
        for (unsigned i = 0; i < format.block_size; ++i) {
          const std::size_t chunk = begin + in_tile * layout.codes + i / 32 * codes.code_bits * 4 * tile;
          const auto field = [&](std::size_t plane, unsigned bits) {
            const unsigned quad = i % 32 / 4;
            const std::size_t vector = plane + quad % bits * 4 * tile;
            return byte(vector + 4 * row + i % 4) >> (bits * (quad / bits)) & ((1u << bits) - 1);
          };
          unsigned code = field(chunk, low);
          if (high != 0) code |= field(chunk + low * 4 * tile, high) << low;
          wrong += code != parts.code[i];
        }
        const std::size_t scales = begin + n * layout.codes + in_tile * layout.scales + row;
        const std::size_t mins = begin + n * (layout.codes + layout.scales) + in_tile * layout.mins + row;
        for (unsigned g = 0; codes.scale_bits != 0 && g < format.block_size / codes.group; ++g) {
          const bool shared = codes.min_bits != 0 && layout.mins == 0;
          wrong += byte(scales + g * tile) !=
                   (shared ? parts.scale[g] | unsigned(parts.min[g]) << 4 : parts.scale[g]);
          if (layout.mins != 0) wrong += byte(mins + g * tile) != parts.min[g];
        }
        const std::size_t d = begin + n * (layout.codes + layout.scales + layout.mins) + in_tile * layout.d;
        wrong += byte(d + row * layout.d / tile) != (parts.d & 255u);
        const std::size_t m = begin + n * (layout.block_bytes() - layout.m) + in_tile * layout.m;
        if (codes.has_m) wrong += byte(m + 2 * row + 1) != parts.m >> 8;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("words of floats are interleaved") {
  const Format& format = *find_format("BF16");
  const PackedLayout layout = packed_layout(format, 4);
  std::vector<std::uint16_t> rows(4 * 3);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint16_t>(100 * (i / 3) + i % 3);
  std::vector<std::uint16_t> packed(packed_row_tile_bytes(layout, 3) / 2);
  pack_row_tile(format, layout, reinterpret_cast<const std::byte*>(rows.data()), 4, 3,
                reinterpret_cast<std::byte*>(packed.data()));
  packed.resize(16);
  CHECK(packed ==
        std::vector<std::uint16_t>{0, 1, 100, 101, 200, 201, 300, 301, 2, 0, 102, 0, 202, 0, 302, 0});
}
