// ByteSource and ByteReader; the operating system's failures are injected by standing in for read and write.
#include "nibble/file/byte_source.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "nibble/file/gguf.hpp"
#include "support/bytes.hpp"
#include "support/expect_error.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

namespace {

// What the next calls of read and write do; 0 is ordinary.
struct Faults {
  int calls_before = 0;         // ordinary calls before the fault
  int error = 0;                // errno of one failing call
  bool persistent = false;      // of every later one
  std::size_t most = SIZE_MAX;  // bytes that one call transfers
  int calls = 0;
};
Faults* faults = nullptr;

bool fails() {
  if (!faults || faults->calls++ < faults->calls_before || faults->error == 0) return false;
  errno = faults->error;
  if (!faults->persistent) faults->error = 0;
  return true;
}

class WithFaults {
 public:
  explicit WithFaults(Faults& f) { faults = &f; }
  ~WithFaults() { faults = nullptr; }
};

std::string text_of(const ByteSource& source) {
  return {reinterpret_cast<const char*>(source.bytes().data()), source.bytes().size()};
}

}  // namespace

extern "C" ssize_t read(int fd, void* buffer, size_t n) {
  if (fails()) return -1;
  return ::syscall(SYS_read, fd, buffer, faults ? std::min(n, faults->most) : n);
}

extern "C" ssize_t write(int fd, const void* buffer, size_t n) {
  if (fails()) return -1;
  return ::syscall(SYS_write, fd, buffer, faults ? std::min(n, faults->most) : n);
}

TEST_CASE("a file's bytes are the same mapped, copied and given") {
  const test::TempFolder folder;
  const std::string text("some bytes\0and more", 19);
  const auto path = folder.write("file", text);
  CHECK(text_of(*ByteSource::open(path, LoadMode::map)) == text);
  CHECK(text_of(*ByteSource::open(path, LoadMode::copy)) == text);
  CHECK(text_of(*test::as_source(text)) == text);
  CHECK(ByteSource::open(path)->name() == path.string());
}

TEST_CASE("an empty file is a source of no bytes") {
  const test::TempFolder folder;
  const auto path = folder.write("empty", "");
  for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
    const auto source = ByteSource::open(path, mode);
    CHECK(source->bytes().empty());
    CHECK_NOTHROW(source->check_unchanged());
    source->release(source->bytes());
  }
  CHECK(test::as_source("")->bytes().empty());
}

TEST_CASE("copies start at a multiple of 64") {
  const auto source = test::as_source("x");
  CHECK(reinterpret_cast<std::uintptr_t>(source->bytes().data()) % 64 == 0);
}

TEST_CASE("short reads and interruptions are no failures") {
  const test::TempFolder folder;
  const std::string text(1'000, 'r');
  const auto path = folder.write("file", text);
  Faults f{.calls_before = 3, .error = EINTR, .most = 7};
  const WithFaults with(f);
  CHECK(text_of(*ByteSource::open(path, LoadMode::copy)) == text);
  CHECK(f.calls == (1'000 + 6) / 7 + 1);
}

TEST_CASE("a failing read is an io error, at every read") {
  const test::TempFolder folder;
  const auto path = folder.write("file", std::string(100, 'r'));
  for (int k = 0; k < 10; ++k) {
    for (const bool persistent : {false, true}) {
      Faults f{.calls_before = k, .error = EIO, .persistent = persistent, .most = 10};
      const WithFaults with(f);
      const Error error =
          test::expect_error([&] { ByteSource::open(path, LoadMode::copy); }, ErrorCode::io, "");
      CHECK(error.field() == "read");
      CHECK(error.source() == path.string());
    }
  }
}

TEST_CASE("a file that shrinks while it is read is truncated") {
  const test::TempFolder folder;
  const auto path = folder.write("file", std::string(20 << 20, 's'));
  Watch watch;
  watch.progress = [&](Stage, std::uint64_t done, std::uint64_t) {
    std::filesystem::resize_file(path, done);
  };
  test::expect_error([&] { ByteSource::open(path, LoadMode::copy, watch); }, ErrorCode::truncated,
                     at_byte(8u << 20));
}

TEST_CASE("copying reports progress and stops on request") {
  const test::TempFolder folder;
  const auto path = folder.write("file", std::string(20 << 20, 's'));
  std::stop_source stop;
  std::vector<std::uint64_t> seen;
  Watch watch;
  watch.stop = stop.get_token();
  watch.progress = [&](Stage stage, std::uint64_t done, std::uint64_t total) {
    CHECK(stage == Stage::load);
    CHECK(total == 20u << 20);
    seen.push_back(done);
    if (seen.size() == 2) stop.request_stop();
  };
  test::expect_error([&] { ByteSource::open(path, LoadMode::copy, watch); }, ErrorCode::cancelled, "");
  CHECK(seen == std::vector<std::uint64_t>{8u << 20, 16u << 20});
}

TEST_CASE("released bytes stay readable") {
  const test::TempFolder folder;
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += static_cast<char>(i * 31);
  const auto source = ByteSource::open(folder.write("file", text));
  for (const std::size_t begin : {0, 1, 4'095, 4'096, 12'345}) {
    for (const std::size_t n : {0, 1, 4'096, 8'191, 20'000})
      source->release(source->bytes().subspan(begin, n));
  }
  CHECK(text_of(*source) == text);
}

TEST_CASE("a full disk is an io error that leaves nothing behind, at every write") {
  const test::TempFolder folder;
  const auto path = folder.path() / "model.gguf";
  const GgufTensor tensor = {"t", Dtype::F32, {64}, [](std::span<std::byte>) {}};
  Faults count{.most = 50};
  {
    const WithFaults with(count);
    write_gguf(path, Metadata(), {&tensor, 1});
  }
  REQUIRE(count.calls > 5);
  std::filesystem::remove(path);
  for (int k = 0; k < count.calls; ++k) {
    Faults f{.calls_before = k, .error = ENOSPC, .persistent = true, .most = 50};
    const WithFaults with(f);
    const Error error = test::expect_error(
        [&] {
          write_gguf(path, Metadata(), {&tensor, 1});
        },
        ErrorCode::io, "");
    CHECK(error.source() == path.string());
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("the reader walks over every type and never past the end") {
  test::Bytes bytes;
  bytes.u8(1).put<std::uint16_t>(2).u32(3).u64(4).put(5.5f).put(6.25).raw("abc");
  ByteReader in(std::as_bytes(std::span(bytes.data())), "source", 100);
  CHECK(in.offset() == 100);
  CHECK(in.u8("a") == 1);
  CHECK(in.u16("b") == 2);
  CHECK(in.u32("c") == 3);
  CHECK(in.u64("d") == 4);
  CHECK(in.f32("e") == 5.5f);
  CHECK(in.f64("f") == 6.25);
  CHECK(in.left() == 3);
  CHECK(std::memcmp(in.take(2, "g").data(), "ab", 2) == 0);
  const Error error =
      test::expect_error([&] { in.u16("field"); }, ErrorCode::truncated, at_byte(100 + bytes.size() - 1));
  CHECK(error.source() == "source");
  CHECK(error.field() == "field");
  CHECK_THROWS_AS(in.take(~0ull, "h"), Error);
  CHECK(in.left() == 1);  // unchanged by the failures
  CHECK(in.u8("i") == 'c');
}
