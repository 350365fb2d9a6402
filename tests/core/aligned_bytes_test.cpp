// AlignedBytes: where small and large blocks begin, that all of them is there, and goes back.
#include "nibble/core/aligned_bytes.hpp"

#include <cstring>
#include <fstream>
#include <new>
#include <utility>

#include "support/catch.hpp"

using namespace nibble;

namespace {

constexpr std::uint64_t mib = 1 << 20;

// Of the process's address space, in pages.
std::int64_t mapped_pages() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages = 0;
  statm >> pages;
  return pages;
}

}  // namespace

TEST_CASE("a block begins at a line, a large one at a huge page, and is writable to its end") {
  CHECK(AlignedBytes(0).data() == nullptr);
  for (const std::uint64_t size : {std::uint64_t{1}, 63 * mib / 64, 4 * mib - 1, 4 * mib, 9 * mib + 1}) {
    CAPTURE(size);
    const AlignedBytes block(size);
    const auto address = reinterpret_cast<std::uintptr_t>(block.data());
    CHECK(address % line_bytes == 0);
#ifdef __linux__
    CHECK((size < 4 * mib || address % (2 * mib) == 0));
#endif
    std::memset(block.data(), 1, size);
  }
}

TEST_CASE("large blocks move, and give back all they took") {
  AlignedBytes block(64 * mib);  // whatever a first one sets up
  const std::int64_t before = mapped_pages();
  for (int i = 0; i < 10; ++i) {
    AlignedBytes other(64 * mib + static_cast<std::uint64_t>(i));
    const std::byte* data = other.data();
    block = std::move(other);
    CHECK(block.data() == data);
  }
  CHECK(mapped_pages() - before <= 1);  // the page that the last one's rest lies in
}

TEST_CASE("blocks that cannot be had are std::bad_alloc") {
  CHECK_THROWS_AS(AlignedBytes(std::uint64_t{1} << 60), std::bad_alloc);
  CHECK_THROWS_AS(AlignedBytes(~std::uint64_t{0}), std::bad_alloc);
}
