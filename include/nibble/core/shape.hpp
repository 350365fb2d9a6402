// A tensor's extents, outermost first: a matrix is (rows, cols) and cols are contiguous.
// GGUF lists them innermost first; the reader turns them round, so that one order is used everywhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "nibble/core/export.hpp"

namespace nibble::inline v0 {

class Shape {
 public:
  static constexpr std::size_t max_rank = 4;

  constexpr Shape() = default;
  // At most max_rank extents; further ones are a programmer error.
  constexpr Shape(std::initializer_list<std::uint64_t> extents) {
    for (std::uint64_t e : extents) extents_[rank_++] = e;
  }

  constexpr std::size_t rank() const noexcept { return rank_; }
  constexpr std::uint64_t operator[](std::size_t i) const noexcept { return extents_[i]; }
  constexpr void push_back(std::uint64_t extent) noexcept { extents_[rank_++] = extent; }

  // Extent of the contiguous axis; 1 for a scalar.
  constexpr std::uint64_t cols() const noexcept { return rank_ == 0 ? 1 : extents_[rank_ - 1]; }
  // Product of all other extents. The reader has checked that no product overflows.
  constexpr std::uint64_t rows() const noexcept {
    std::uint64_t n = 1;
    for (std::size_t i = 0; i + 1 < rank_; ++i) n *= extents_[i];
    return n;
  }
  constexpr std::uint64_t elements() const noexcept { return rows() * cols(); }

  friend constexpr bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::uint64_t, max_rank> extents_{};
  std::size_t rank_ = 0;
};

// "[rows, cols]"
NIBBLE_API std::string to_string(const Shape& shape);

}  // namespace nibble::inline v0
