// Counts what all threads of the program hold from operator new, and makes chosen allocations fail.
// Include in one file of a test program only: it replaces the global operators.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace nibble::test {

struct Memory {
  static inline std::atomic<std::int64_t> blocks = 0, bytes = 0;
  static inline std::atomic<std::int64_t> countdown = 0;  // allocations until one fails; 0: none does
  static inline std::atomic<bool> persistent = false;     // all after it fail too
  static inline std::atomic<bool> failed = false;

  // Makes the k-th allocation from now on fail, from 1.
  static void fail(std::int64_t k, bool all_after) noexcept {
    failed = false;
    persistent = all_after;
    countdown = k;
  }
  static void disarm() noexcept { countdown = 0; }

  static bool refuses() noexcept {
    std::int64_t left = countdown.load();
    if (left == 0) return false;
    if (failed && persistent) return true;
    while (left > 1 && !countdown.compare_exchange_weak(left, left - 1)) {
    }
    if (left != 1) return false;
    const bool first = !failed.exchange(true);
    return first || persistent;
  }

  static void* take(std::size_t size, std::size_t alignment) noexcept {
    if (refuses()) return nullptr;
    void* block = nullptr;
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
      block = std::malloc(size);
    } else if (posix_memalign(&block, alignment, size) != 0) {
      block = nullptr;
    }
    if (block == nullptr) return nullptr;
    ++blocks;
    bytes += static_cast<std::int64_t>(malloc_usable_size(block));
    return block;
  }
  static void give_back(void* block) noexcept {
    if (block == nullptr) return;
    --blocks;
    bytes -= static_cast<std::int64_t>(malloc_usable_size(block));
    std::free(block);
  }
};

}  // namespace nibble::test

// The array and sized forms end in these.
void* operator new(std::size_t size) {
  if (void* block = nibble::test::Memory::take(size, 0)) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* block = nibble::test::Memory::take(size, static_cast<std::size_t>(alignment))) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return nibble::test::Memory::take(size, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return nibble::test::Memory::take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { nibble::test::Memory::give_back(block); }
void operator delete(void* block, std::size_t) noexcept { nibble::test::Memory::give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { nibble::test::Memory::give_back(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  nibble::test::Memory::give_back(block);
}
void operator delete(void* block, const std::nothrow_t&) noexcept { nibble::test::Memory::give_back(block); }
