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

// (16, 64) halves that a descriptor is of.
struct SharedHalves {
  explicit SharedHalves(std::uint64_t descriptor)
      : begin(field(descriptor, 0)), along_k(field(descriptor, 16)), along_rows(field(descriptor, 32)) {
    if ((descriptor & ~0x00003fff3fff3fffull) != 0) fail("a descriptor of another kind");
    if (!is_shared(begin, along_k + (cols / 8 - 1) * along_rows + 128))
      fail("a product of what is not there");
  }
  static std::size_t field(std::uint64_t descriptor, int bit) { return (descriptor >> bit & 0x3fff) * 16; }

  float at(std::uint32_t k, std::uint32_t col) const {
    std::uint16_t half = 0;
    std::memcpy(&half,
                shared() + begin + k / 8 * along_k + col / 8 * along_rows + 16 * (col % 8) + 2 * (k % 8), 2);
    return f16_to_f32(half);
  }
  std::size_t begin, along_k, along_rows;
};

float half_of(std::uint32_t word, std::uint32_t n) {
  return f16_to_f32(static_cast<std::uint16_t>(word >> 16 * n));
}

// Sixteen products and what there was before them, as device::multiply_tile adds them, or in floats one by
// one.
float add(float before, const float (&products)[16]) {
  if (otherwise()) {
    for (const float x : products) before = before + x;
    return before;
  }
  double sum = 0;
  for (const float x : products) sum += double{x};
  return static_cast<float>(before + sum);
}

void finish(const Product& product) {
  struct Operands {
    std::uint32_t a[2][4];
  } mine{};
  for (std::uint32_t n = 0; n < product.n; ++n) std::copy_n(product.a[n], 4, mine.a[n]);
  const Operands* of_lane = exchange(mine, group);
  const std::uint32_t lane = thread() % lanes;
  std::fill_n(product.d, cols / 2, 0.0f);
  for (std::uint32_t n = 0; n < product.n; ++n) {
    const SharedHalves b(product.b[n]);
    for (std::uint32_t i = 0; i < cols / 2; ++i) {
      const std::uint32_t high = i / 2 % 2, col = i / 4 * 8 + 2 * (lane % 4) + i % 2;
      float products[16];
      for (std::uint32_t k = 0; k < 16; ++k)
        products[k] =
            half_of(of_lane[lane / 4 * 4 + k % 8 / 2].a[n][high + 2 * (k / 8)], k % 2) * b.at(k, col);
      product.d[i] = add(product.d[i], products);
    }
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
