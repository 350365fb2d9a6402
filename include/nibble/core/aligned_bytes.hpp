// A block of memory that begins at a cache line, as vector loads and tensors want it.
// Below files that are copied into memory and below the backends' weights, caches and buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace nibble::inline v0 {

inline constexpr std::size_t line_bytes = 64;

// Uninitialised; taken from the plain heap with room to begin at a line: aligned allocation fragments the
// heap of glibc before 2.38 a little more each time.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  // Errors: std::bad_alloc.
  explicit AlignedBytes(std::uint64_t size) {
    if (size == 0) return;
    if (size > SIZE_MAX - line_bytes) throw std::bad_alloc();
    block_.reset(static_cast<std::byte*>(::operator new(static_cast<std::size_t>(size) + line_bytes - 1)));
    const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
    data_ = block_.get() + (line_bytes - address % line_bytes) % line_bytes;
  }

  // Null where the size is 0.
  std::byte* data() const noexcept { return data_; }

 private:
  struct Delete {
    void operator()(std::byte* block) const noexcept { ::operator delete(block); }
  };
  std::unique_ptr<std::byte, Delete> block_;
  std::byte* data_ = nullptr;
};

}  // namespace nibble::inline v0
