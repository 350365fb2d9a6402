// Barriers, bulk copies and products of warpgroups on the emulator.
// What they stand for, and what they do not prove, is in the header.
#include "kernels/cuda/emulator_warpgroup.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace nibble::inline v0::cuda::emulator {

namespace {

constexpr std::uint32_t lanes = 32, group = 128, cols = 64;

struct Phase {
  std::uint8_t arrivals, left, parity, unused;
  std::uint32_t bytes;
};
static_assert(sizeof(Phase) == sizeof(std::uint64_t));

struct BulkCopy {
  void* to;
  const void* from;
  std::uint32_t bytes;
  std::uint64_t* barrier;
};

// Of the block that runs.
struct Background {
  std::uint64_t block = 0;
  std::vector<BulkCopy> copies;
  std::array<std::vector<Product>, 1024> products;  // of each thread, the oldest first
};
Background& background() {
  static thread_local Background background;
  if (background.block != block_number()) {
    background.block = block_number();
    background.copies.clear();
    for (auto& products : background.products) products.clear();
  }
  return background;
}

bool& otherwise() {
  static thread_local bool otherwise = false;
  return otherwise;
}

// Changes a barrier, and ends its phase if that is what it waited for.
template <class Change>
void change(std::uint64_t* barrier, const Change& change) {
  auto phase = std::bit_cast<Phase>(*barrier);
  if (phase.arrivals == 0) fail("a barrier that was not begun");
  change(phase);
  if (phase.left == 0 && phase.bytes == 0) {
    phase.left = phase.arrivals;
    phase.parity ^= 1;
  }
  *barrier = std::bit_cast<std::uint64_t>(phase);
}

bool is_over(const std::uint64_t* barrier, std::uint32_t parity) {
  return std::bit_cast<Phase>(*barrier).parity != parity;
}

struct Awaited {
  std::uint64_t* barrier;
  std::uint32_t parity;
};

// Now its copies arrive.
bool is_over_at_last(void* what) {
  const auto [barrier, parity] = *static_cast<const Awaited*>(what);
  auto& copies = background().copies;
  for (const BulkCopy& copy : copies) {
    if (copy.barrier != barrier) continue;
    std::memcpy(copy.to, copy.from, copy.bytes);
    change(barrier, [&](Phase& phase) { phase.bytes -= copy.bytes; });
  }
  std::erase_if(copies, [&](const BulkCopy& copy) { return copy.barrier == barrier; });
  return is_over(barrier, parity);
}

void poison(void* to, std::size_t bytes) {
  const std::uint32_t nan = 0x7fa00000u;
  for (std::size_t i = 0; i < bytes; i += sizeof nan) std::memcpy(static_cast<std::byte*>(to) + i, &nan, 4);
}

bool is_shared(std::size_t begin, std::size_t bytes) { return begin + bytes <= shared_bytes(); }

// (64 columns, 16) halves that a descriptor is of, as doubles. Threads after each other mostly ask for the
// same.
class SharedHalves {
 public:
  const double* read(std::uint64_t descriptor) {
    const std::size_t begin = field(descriptor, 0), along_k = field(descriptor, 16),
                      along_rows = field(descriptor, 32);
    if ((descriptor & ~0x00003fff3fff3fffull) != 0) fail("a descriptor of another kind");
    if (!is_shared(begin, along_k + (cols / 8 - 1) * along_rows + piece))
      fail("a product of what is not there");
    Pieces pieces;
    for (std::size_t i = 0; i < pieces.size(); ++i)
      std::memcpy(&pieces[i], shared() + begin + i % 2 * along_k + i / 2 * along_rows, piece);
    if (std::memcmp(&pieces, &pieces_, sizeof pieces) != 0) decode(pieces);
    return halves_.data();
  }

 private:
  static constexpr std::size_t piece = 128;
  using Pieces = std::array<std::array<std::uint16_t, piece / 2>, 2 * cols / 8>;
  static std::size_t field(std::uint64_t descriptor, int bit) { return (descriptor >> bit & 0x3fff) * 16; }

  void decode(const Pieces& pieces) {
    pieces_ = pieces;
    for (std::uint32_t col = 0; col < cols; ++col)
      for (std::uint32_t k = 0; k < 16; ++k)
        halves_[16 * col + k] = f16_to_f32(pieces[col / 8 * 2 + k / 8][col % 8 * 8 + k % 8]);
  }

  Pieces pieces_{};
  std::array<double, std::size_t{16} * cols> halves_{};
};

float half_of(std::uint32_t word, std::uint32_t n) {
  return f16_to_f32(static_cast<std::uint16_t>(word >> 16 * n));
}

// c[i] += the dot product of row i / 2 and column i % 2, as device::multiply_tile adds it, or in floats one
// by one.
void add_dots(float* c, const double (&rows)[2][16], const double* columns) {
  double sums[4] = {};
  for (std::uint32_t k = 0; k < 16; ++k) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const double product = rows[i / 2][k] * columns[16 * (i % 2) + k];
      sums[i] += product;
      if (otherwise()) c[i] = c[i] + static_cast<float>(product);
    }
  }
  if (otherwise()) return;
  for (std::uint32_t i = 0; i < 4; ++i) c[i] = static_cast<float>(c[i] + sums[i]);
}

void finish(const Product& product) {
  struct Operands {
    std::uint32_t a[2][4];
  } mine{};
  for (std::uint32_t n = 0; n < product.n; ++n) std::copy_n(product.a[n], 4, mine.a[n]);
  const Operands* of_lane = exchange(mine, group);
  const std::uint32_t lane = thread() % lanes;
  static thread_local SharedHalves b[2];
  std::fill_n(product.d, cols / 2, 0.0f);
  for (std::uint32_t n = 0; n < product.n; ++n) {
    double rows[2][16];  // lane / 4 and 8 more
    for (std::uint32_t i = 0; i < 32; ++i)
      rows[i / 16][i % 16] = half_of(of_lane[lane / 4 * 4 + i % 8 / 2].a[n][i / 16 + 2 * (i / 8 % 2)], i % 2);
    const double* columns = b[n].read(product.b[n]);
    for (std::uint32_t col = 0; col < cols; col += 8)
      add_dots(product.d + col / 2, rows, columns + std::size_t{16} * (col + 2 * (lane % 4)));
  }
}

}  // namespace

void begin_barrier(std::uint64_t* barrier, std::uint32_t arrivals) {
  aligned(barrier, sizeof *barrier);
  const auto n = static_cast<std::uint8_t>(arrivals);
  *barrier = std::bit_cast<std::uint64_t>(Phase{n, n, 0, 0, 0});
}

void arrive(std::uint64_t* barrier) {
  change(barrier, [](Phase& phase) { --phase.left; });
}

void expect(std::uint64_t* barrier, std::uint32_t bytes) {
  change(barrier, [&](Phase& phase) { phase.bytes += bytes; });
}

void wait(std::uint64_t* barrier, std::uint32_t parity) {
  Awaited awaited{barrier, parity};
  if (!is_over(barrier, parity)) wait_until(is_over_at_last, &awaited);
}

void copy_bulk(void* to, const void* from, std::uint32_t bytes, std::uint64_t* barrier) {
  aligned(to, 16);
  aligned(from, 16);
  if (bytes == 0 || bytes % 16 != 0) fail("a bulk copy of a length that is not a multiple of 16");
  if (!is_shared(static_cast<std::size_t>(static_cast<std::byte*>(to) - shared()), bytes))
    fail("a bulk copy to what is not there");
  poison(to, bytes);
  background().copies.push_back({to, from, bytes, barrier});
}

void begin_product(const Product& product) {
  poison(product.d, cols / 2 * sizeof(float));
  background().products[thread()].push_back(product);
}

void wait_product(const float* d, std::size_t left) {
  auto& products = background().products[thread()];
  if (products.size() != left + 1 || products.front().d != d) fail("a wait for another product");
  finish(products.front());
  products.erase(products.begin());
}

void round_products_otherwise(bool so) { otherwise() = so; }

}  // namespace nibble::inline v0::cuda::emulator
