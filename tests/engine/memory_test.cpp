// Memory: the plan against what is taken, and every allocation failing in turn during load and generate.
#include <fstream>
#include <optional>

#include "counted_memory.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_model.hpp"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr TinyModel smallest{
    .layers = 1, .kv_heads = 1, .head_dim = 4, .embed_dim = 16, .ffn_dim = 16, .context = 128};

struct Sweep {
  int failures = 0;  // allocations that failed, over both modes
  int errors = 0;    // calls that ended in an error
  int wrong = 0;     // ... of another kind than out_of_memory
  int leaks = 0;     // calls that left memory behind
};

// Runs `call` with its first, second, ... allocation failing, alone and with all after it, until none is left
// to fail. `after` brings everything back to how it was, with memory to spare.
template <class Call, class After>
Sweep sweep(Call&& call, After&& after) {
  Sweep s;
  call();  // whatever is set up once in a process
  after();
  for (const bool persistent : {false, true}) {
    const std::int64_t blocks = Memory::blocks;
    for (std::int64_t k = 1;; ++k) {
      std::optional<Error> error;
      Memory::fail(k, persistent);
      try {
        call();
      } catch (const Error& e) {
        error = e;
      }
      const bool reached = Memory::failed;
      Memory::disarm();
      s.failures += reached;
      s.errors += error.has_value();
      s.wrong += error && error->code() != ErrorCode::out_of_memory;
      error.reset();
      after();
      s.leaks += Memory::blocks != blocks;
      if (!reached) break;
    }
  }
  return s;
}

void check(const Sweep& s, int at_least) {
  CAPTURE(s.failures, s.errors);
  CHECK(s.failures >= at_least);
  CHECK(s.errors > s.failures / 2);  // the others did without: sorting without a buffer
  CHECK(s.wrong == 0);
  CHECK(s.leaks == 0);
}

struct ProcessBytes {
  std::int64_t mapped = 0, resident = 0;
};
ProcessBytes process_bytes() {
  std::ifstream statm("/proc/self/statm");
  ProcessBytes pages;
  statm >> pages.mapped >> pages.resident;
  return {pages.mapped * 4096, pages.resident * 4096};
}

const GenerateOptions eight{.max_tokens = 8, .temperature = 0, .ignore_end = true};

}  // namespace

TEST_CASE("an engine takes what its plan says") {
  for (const TinyModel& shape : {TinyModel{}, TinyModel::blocks(Dtype{2}), TinyModel::blocks(Dtype::F16)}) {
    const Model model = open_tiny_model(shape);
    for (const std::uint32_t context : {64u, 512u, 1024u}) {
      const EngineOptions options{.threads = 2, .context = context, .sequences = 2, .batch = 128};
      const EnginePlan plan = Engine::plan(model, options);
      const std::int64_t before = Memory::bytes;
      const Engine engine(model, options);
      const std::int64_t taken = Memory::bytes - before,
                         planned = static_cast<std::int64_t>(plan.memory.total());
      CAPTURE(context, taken, planned);
      CHECK(engine.plan().memory.total() == plan.memory.total());
      CHECK(taken >= planned);
      CHECK(taken <= planned + 32 * 1024 + 16 * plan.kv_pages);  // bookkeeping
    }
  }
}

TEST_CASE("large blocks are mapped, not much more than planned, and untouched pages take no memory") {
  const Model model = open_tiny_model();
  const EngineOptions options{.threads = 1, .context = 1u << 17};
  const auto planned = static_cast<std::int64_t>(Engine::plan(model, options).memory.total());
  REQUIRE(planned > 64 << 20);
  const ProcessBytes before = process_bytes();
  const Engine engine(model, options);
  const ProcessBytes after = process_bytes();
  CHECK(after.mapped - before.mapped > planned - (8 << 20));  // the rest fits into the heap
  CHECK(after.mapped - before.mapped < planned + (8 << 20));
  CHECK(after.resident - before.resident < 16 << 20);
}

TEST_CASE("every allocation failing while a model is opened ends in out_of_memory, without a leak") {
  for (const bool byte_level : {false, true}) {
    TinyModel shape = smallest;
    shape.byte_level = byte_level;
    const TempFolder folder;
    const std::filesystem::path path = folder.path() / "tiny.gguf";
    write_tiny_model(path, shape);
    check(sweep([&] { Model::open(path); }, [] {}), 200);
  }
}

TEST_CASE("every allocation failing while an engine is made ends in out_of_memory, without a leak") {
  const Model model = open_tiny_model(smallest);
  for (const char* backend : {"cpu", "reference"})
    check(sweep([&] { Engine(model, {.backend = backend, .threads = 2}); }, [] {}), 20);
}

TEST_CASE("an engine whose keys and values no address space can hold is out_of_memory, without a leak") {
  // 2^18 pages of 1 MiB for each sequence: 1 PiB, mapped rather than taken from the counted heap.
  const Model model = open_tiny_model({.layers = 1, .kv_heads = 4, .head_dim = 512});
  const auto make = [&] { Engine(model, {.threads = 1, .context = 1u << 24, .sequences = 4096}); };
  std::int64_t blocks = 0;
  for (int i = 0; i < 2; ++i) {  // the first sets up whatever a process needs once
    blocks = Memory::blocks;
    expect_error(make, ErrorCode::out_of_memory, "");
  }
  CHECK(Memory::blocks == blocks);
}

TEST_CASE("every allocation failing while text is generated leaves a session that works") {
  for (const std::uint32_t window : {0u, 20u}) {
    TinyModel shape = smallest;
    shape.window = window;
    const Engine engine(open_tiny_model(shape), {.threads = 2, .batch = 16});
    Session session(engine);
    session.append("the cat and the");
    const auto length = static_cast<std::uint32_t>(session.tokens().size());
    const auto generate = [&] { return session.generate(" hat is on the mat", eight); };
    const auto rewind = [&] {
      session.rewind(length);
      session.append("");
    };
    const std::string expected = generate().text;
    rewind();
    check(sweep(generate, rewind), 80);
    CHECK(generate().text == expected);
  }
}

TEST_CASE("every allocation failing in a session's other calls changes nothing") {
  const Engine engine(open_tiny_model(smallest), {.threads = 1, .sequences = 2, .batch = 16});
  const TempFolder folder;
  const std::filesystem::path saved = folder.path() / "state", other = folder.path() / "other";
  Session session(engine);
  session.append("the cat and the hat");
  session.save(other);
  session.append(" sat");
  const std::vector<TokenId> tokens(session.tokens().begin(), session.tokens().end());
  const std::vector<float> logits(session.logits().begin(), session.logits().end());
  const auto unchanged = [&] {
    REQUIRE(std::ranges::equal(session.tokens(), tokens));
    REQUIRE(std::ranges::equal(session.logits(), logits));
  };
  check(sweep([&] { session.fork(); }, unchanged), 4);
  check(sweep([&] { session.score("on the mat"); }, unchanged), 10);
  check(sweep([&] { session.save(saved); }, unchanged), 4);

  session.save(saved);
  bool restored = false;
  const auto restore = [&] {
    restored = false;
    session.restore(other);
    restored = true;
  };
  check(sweep(restore,
              [&] {
                if (!restored) unchanged();
                session.restore(saved);
                unchanged();
              }),
        4);
  session.append(" on");
}

TEST_CASE("a hundred loads and unloads grow the process by less than a megabyte") {
  const TempFolder folder;
  write_tiny_model(folder.path() / "tiny.gguf", TinyModel::blocks(Dtype{2}));
  const auto use = [&] {
    const Engine engine(Model::open(folder.path() / "tiny.gguf"), {.threads = 2});
    Session(engine).generate("the cat", eight);
  };
  for (int i = 0; i < 10; ++i) use();
  const std::int64_t before = process_bytes().resident, blocks = Memory::blocks;
  for (int i = 0; i < 100; ++i) use();
  CHECK(Memory::blocks == blocks);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  WARN("resident size not checked: a sanitizer keeps what is freed; it grew by "
       << process_bytes().resident - before);
#else
  CHECK(process_bytes().resident - before < 1'000'000);
#endif
}
