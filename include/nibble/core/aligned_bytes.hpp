// A block of memory that begins at a cache line, as vector loads and tensors want it.
// Below files that are copied into memory and below the backends' weights, caches and buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "nibble/core/export.hpp"

namespace nibble::inline v0 {

inline constexpr std::size_t line_bytes = 64;

// Uninitialised. A large block is pages of its own, huge ones where the system has them: with small ones
// decoding is a tenth slower.
class NIBBLE_API AlignedBytes {
 public:
  AlignedBytes() = default;
  // Errors: std::bad_alloc.
  explicit AlignedBytes(std::uint64_t size);

  // Null where the size is 0.
  std::byte* data() const noexcept { return data_; }

 private:
  struct GiveBack {
    std::size_t mapped;  // bytes; 0: from the heap
    void operator()(std::byte* block) const noexcept;
  };
  std::unique_ptr<std::byte, GiveBack> block_;
  std::byte* data_ = nullptr;
};

}  // namespace nibble::inline v0
