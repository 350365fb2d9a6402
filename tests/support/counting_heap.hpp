// Counts what a piece of code allocates, and makes chosen allocations fail, through the global operator new.
// Replaces it for the whole program: include in exactly one source file of a test program.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <new>

#include "nibble/core/error.hpp"
#include "support/catch.hpp"

namespace nibble::test {

// For code that runs on one thread and frees nothing it was given.
struct Heap {
  bool counting = false;
  std::size_t live = 0;  // bytes
  std::size_t peak = 0;
  std::size_t calls = 0;
  std::size_t fail_at = SIZE_MAX;  // the call that fails
  bool persistent = false;         // and every later one
};
inline Heap heap;

inline void* allocate(std::size_t n, std::size_t alignment) {
  if (heap.counting) {
    const std::size_t call = heap.calls++;
    if (call == heap.fail_at || (heap.persistent && call > heap.fail_at)) throw std::bad_alloc();
  }
  void* p = alignment > alignof(std::max_align_t)
                ? std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment)
                : std::malloc(n);
  if (!p) throw std::bad_alloc();
  if (heap.counting) {
    heap.live += ::malloc_usable_size(p);
    heap.peak = std::max(heap.peak, heap.live);
  }
  return p;
}

inline void release(void* p) noexcept {
  if (heap.counting && p) heap.live -= ::malloc_usable_size(p);
  std::free(p);
}

// Runs `call` while counting.
inline Heap count(const std::function<void()>& call, std::size_t fail_at = SIZE_MAX,
                  bool persistent = false) {
  heap = {.counting = true, .live = 0, .peak = 0, .calls = 0, .fail_at = fail_at, .persistent = persistent};
  try {
    call();
  } catch (...) {
    heap.counting = false;
    throw;
  }
  heap.counting = false;
  return heap;
}

// Fails each allocation of `call` in turn, alone, then with all that follow: always Error(out_of_memory), and
// nothing is left behind.
inline void survives(const std::function<void()>& call) {
  const std::size_t calls = count(call).calls;
  REQUIRE(calls > 10);
  for (const bool persistent : {false, true}) {
    for (std::size_t k = 0; k < calls; ++k) {
      ErrorCode code = ErrorCode::internal;
      bool ended = false;
      count(
          [&] {
            try {
              call();
              ended = true;
            } catch (const Error& error) {
              code = error.code();
            }
          },
          k, persistent);
      CAPTURE(k, persistent);
      CHECK(!ended);
      CHECK(code == ErrorCode::out_of_memory);
      CHECK(heap.live == 0);
    }
  }
}

}  // namespace nibble::test

void* operator new(std::size_t n) { return nibble::test::allocate(n, 1); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  try {
    return nibble::test::allocate(n, 1);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t n, std::align_val_t a) {
  return nibble::test::allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { nibble::test::release(p); }
void operator delete(void* p, std::size_t) noexcept { nibble::test::release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { nibble::test::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { nibble::test::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { nibble::test::release(p); }
