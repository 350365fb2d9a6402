// AlignedBytes: from the heap, or, where huge pages fit in, mapped.
// Used by every stage that holds much memory.
#include "nibble/core/aligned_bytes.hpp"

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace nibble::inline v0 {

namespace {

constexpr std::size_t huge_page = 2u << 20;

// The first multiple of `alignment` in a block that begins here.
std::byte* align(std::byte* block, std::size_t alignment) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  return block + (alignment - address % alignment) % alignment;
}

}  // namespace

AlignedBytes::AlignedBytes(std::uint64_t size) {
  if (size == 0) return;
  if (size > SIZE_MAX - huge_page) throw std::bad_alloc();
  const auto bytes = static_cast<std::size_t>(size);
#ifdef __linux__
  if (bytes >= 2 * huge_page) {
    const std::size_t room = bytes + huge_page - 1;
    void* block = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    block_ = {static_cast<std::byte*>(block), GiveBack{room}};
    data_ = align(block_.get(), huge_page);
    ::madvise(data_, bytes, MADV_HUGEPAGE);  // a wish: kernels without them refuse it
    return;
  }
#endif
  // With room to begin at a line: aligned allocation fragments the heap of glibc before 2.38 a little more
  // each time.
  block_ = {static_cast<std::byte*>(::operator new(bytes + line_bytes - 1)), GiveBack{}};
  data_ = align(block_.get(), line_bytes);
}

void AlignedBytes::GiveBack::operator()(std::byte* block) const noexcept {
#ifdef __linux__
  if (mapped != 0) {
    ::munmap(block, mapped);
    return;
  }
#endif
  ::operator delete(block);
}

}  // namespace nibble::inline v0
