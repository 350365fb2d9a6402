// Memory running out at every single allocation of loading, encoding and decoding: a typed error, no leak,
// and a tokenizer as good as before. Counts through the global operator new.
#include <cstdlib>
#include <functional>
#include <new>

#include "nibble/text/tokenizer.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;

namespace {

struct Heap {
  bool counting = false;
  std::size_t calls = 0;
  std::size_t fail_at = 0;
  bool persistent = false;  // every later one fails too
  long live = 0;            // allocations
} heap;

void* allocate(std::size_t n) {
  if (heap.counting) {
    const std::size_t call = heap.calls++;
    if (call == heap.fail_at || (heap.persistent && call > heap.fail_at)) throw std::bad_alloc();
    ++heap.live;
  }
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}

void release(void* p) noexcept {
  if (heap.counting && p) --heap.live;
  std::free(p);
}

// Fails each allocation of `call` in turn. Those that sorting can do without need not be noticed.
void survives(const std::function<bool()>& call) {
  for (const bool persistent : {false, true}) {
    std::size_t k = 0;
    for (bool reached = true; reached; ++k) {
      ErrorCode code = ErrorCode::out_of_memory;
      bool right = true;
      heap = {.counting = true, .calls = 0, .fail_at = k, .persistent = persistent, .live = 0};
      try {
        right = call();
      } catch (const Error& error) {
        code = error.code();
      }
      heap.counting = false;
      reached = heap.calls > k;
      CAPTURE(k, persistent);
      CHECK(right);
      CHECK(code == ErrorCode::out_of_memory);
      CHECK(heap.live == 0);
    }
    CHECK(k > 5);
  }
}

}  // namespace

void* operator new(std::size_t n) { return allocate(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  try {
    return allocate(n);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }

TEST_CASE("Loading survives every failing allocation") {
  const Metadata spm = test::as_metadata(test::spm_keys()), bpe = test::as_metadata(test::bpe_keys());
  const test::TempFolder folder;
  const auto spm_json = folder.write("spm.json", test::spm_json().dump());
  const auto bpe_json = folder.write("bpe.json", test::bpe_json().dump());
  const auto config =
      folder.write("config.json", R"({"eos_token": "</s>", "chat_template": "a long enough one"})");
  survives([&] { return Tokenizer::from_gguf(spm).size() == 284; });
  survives([&] { return Tokenizer::from_gguf(bpe).size() == 271; });
  survives([&] { return Tokenizer::from_json(spm_json, config).size() == 284; });
  survives([&] { return Tokenizer::from_json(bpe_json).size() == 271; });
}

TEST_CASE("Encoding and decoding survive every failing allocation, and work afterwards") {
  test::Keys keys = test::bpe_keys();
  keys["tokenizer.ggml.pre"] = "qwen2";
  for (const auto& tokenizer : {Tokenizer::from_gguf(test::as_metadata(test::spm_keys())),
                                Tokenizer::from_gguf(test::as_metadata(keys))}) {
    const std::string text = "hello  wörld é 世界 <tool> <|im_end|> " + std::string(100, 'a');
    const auto ids = tokenizer.encode(text, {.parse_special = true});
    const std::string decoded = tokenizer.decode(ids);
    survives([&] { return tokenizer.encode(text, {.parse_special = true}) == ids; });
    survives([&] { return tokenizer.decode(ids) == decoded; });
    CHECK(tokenizer.encode(text, {.parse_special = true}) == ids);
  }
}
