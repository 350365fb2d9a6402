// The memory of a backend: sizes that are known before anything is taken, and an arena in which buffers share
// bytes when they do not live at the same time. Used by the layout of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nibble::inline v0 {

// a + b, a * b and a rounded up to `line_bytes`. Errors: limit (more than 64 bits hold).
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

}  // namespace nibble::inline v0
