// What parsing allocates: never more than 16 bytes per byte of input and 1 MiB, and every failing allocation
// ends in a typed error without a leak. Counts through the global operator new.
#include <malloc.h>

#include <cstdlib>
#include <functional>
#include <new>

#include "nibble/file/checkpoint.hpp"
#include "nibble/file/gguf.hpp"
#include "nibble/file/safetensors.hpp"
#include "src/file/json.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using test::Bytes;

namespace {

struct Heap {
  bool counting = false;
  std::size_t live = 0;
  std::size_t peak = 0;
  std::size_t calls = 0;
  std::size_t fail_at = SIZE_MAX;  // the call that fails
  bool persistent = false;         // and every later one
} heap;

void* allocate(std::size_t n, std::size_t alignment) {
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

void release(void* p) noexcept {
  if (heap.counting && p) heap.live -= ::malloc_usable_size(p);
  std::free(p);
}

// Runs `call` while counting.
Heap count(const std::function<void()>& call, std::size_t fail_at = SIZE_MAX, bool persistent = false) {
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

// Parses, whatever comes of it, and checks the peak.
void bounded(std::string_view input, const std::function<void(const ByteSource&)>& parse) {
  const auto source = test::as_source(input);
  const Heap used = count([&] {
    try {
      parse(*source);
    } catch (const Error&) {
    }
  });
  INFO(used.peak << " bytes for " << input.size() << ": " << input.substr(0, 40));
  CHECK(used.peak <= 16 * input.size() + (1 << 20));
  CHECK(used.live == 0);
}

std::string repeat(std::string_view unit, std::size_t n) {
  std::string result;
  for (std::size_t i = 0; i < n; ++i) result += unit;
  return result;
}

// Fails each allocation in turn: alone, then with all that follow.
void survives(const std::function<void()>& call) {
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

}  // namespace

void* operator new(std::size_t n) { return allocate(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return allocate(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }

TEST_CASE("GGUF parsing takes memory in proportion to the file") {
  const auto parse = [](const ByteSource& source) { parse_gguf(source); };
  constexpr std::size_t n = 60'000;
  // The densest of everything: entries, strings, narrow numbers, tensors.
  Bytes entries = Bytes::gguf(0, n);
  Bytes tensors = Bytes::gguf(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string name = std::to_string(i);
    entries.key(name, 7).u8(1);
    tensors.tensor(name, {1}, 24, i * 32);
  }
  bounded(entries.data(), parse);
  bounded(tensors.pad(32).zeros(n * 32).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(8).u64(n).zeros(8 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(0).u64(8 * n).zeros(8 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(7).u64(8 * n).zeros(8 * n).data(), parse);
  // Counts that promise more than there is.
  bounded(Bytes::gguf(~0ull, ~0ull).data(), parse);
  bounded(Bytes::gguf(n, 0).zeros(24 * n).data(), parse);
  bounded(Bytes::gguf(0, 1).key("k", 9).u32(8).u64(1ull << 40).zeros(100).data(), parse);
}

TEST_CASE("JSON parsing takes memory in proportion to the text") {
  const auto parse = [](const ByteSource& source) {
    parse_json({reinterpret_cast<const char*>(source.bytes().data()), source.bytes().size()}, "test");
  };
  constexpr std::size_t n = 1 << 20;
  for (const std::string_view unit :
       {"[],", "{},", "0,", "\"\",", "[0],", "{\"\":0},", ",", "[", "\\", "\"", ":", "\",,,,\","}) {
    std::string text = "[";
    text += repeat(unit, n);
    bounded(text += "0]", parse);
  }
  std::string object = "{";
  for (std::size_t i = 0; i < n; ++i) (object += '"').append(std::to_string(i)) += "\":0,";
  bounded(object += "\"\":0}", parse);
}

TEST_CASE("safetensors parsing takes memory in proportion to the header") {
  std::string header = "{";
  for (std::size_t i = 0; i < 60'000; ++i) {
    header += std::string(i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  bounded(Bytes::safetensors(header + "}", 0).data(),
          [](const ByteSource& source) { parse_safetensors(source); });
}

TEST_CASE("every failing allocation while parsing is a typed error without a leak") {
  const auto gguf = test::as_source(test::tiny_gguf().data());
  survives([&] { parse_gguf(*gguf); });
  const auto safetensors = test::as_source(test::tiny_safetensors().data());
  survives([&] { parse_safetensors(*safetensors); });
}

TEST_CASE("every failing allocation while opening files is a typed error without a leak") {
  const test::TempFolder folder;
  const auto gguf = folder.write("a.gguf", test::tiny_gguf().data());
  survives([&] { Checkpoint::open(gguf, LoadMode::copy); });
  survives([&] { Checkpoint::open(gguf, LoadMode::map); });
  folder.write("config.json", R"({"a":{"b":[1,2]},"c":["x"]})");
  folder.write("m.safetensors", test::tiny_safetensors().data());
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"m.safetensors"}})");
  survives([&] { Checkpoint::open(folder.path()); });
}
