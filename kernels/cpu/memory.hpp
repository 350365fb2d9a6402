// Memory of the CPU backend: aligned blocks, and an arena in which buffers share bytes when they do not live
// at the same time. Sizes are known before anything is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace nibble::inline v0::cpu {

inline constexpr std::size_t alignment = 64;

// Bytes aligned for every kernel, uninitialised. Errors of the constructor: std::bad_alloc.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::uint64_t size)
      : data_(size == 0 ? nullptr : static_cast<std::byte*>(::operator new(size, align))) {}

  std::byte* data() const noexcept { return data_.get(); }

 private:
  static constexpr std::align_val_t align{alignment};
  struct Delete {
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, align); }
  };
  std::unique_ptr<std::byte, Delete> data_;
};

// a + b, a * b and a rounded up to `alignment`. Errors: limit (more than 64 bits hold).
std::uint64_t add_bytes(std::uint64_t a, std::uint64_t b);
std::uint64_t multiply_bytes(std::uint64_t a, std::uint64_t b);
std::uint64_t align_bytes(std::uint64_t a);

// A buffer alive from step `first` to step `last`, both included.
struct Lifetime {
  std::uint64_t bytes = 0;
  std::uint32_t first = 0, last = 0;
  std::uint64_t offset = 0;  // found by place()
};

// Gives each buffer an aligned offset, largest first at the lowest place that no buffer alive at the same
// time has; returns the bytes of them all.
std::uint64_t place(std::span<Lifetime> buffers);

}  // namespace nibble::inline v0::cpu
