// ByteSource: opening, mapping and copying regular files. ByteReader: the bounded walk over their bytes.
// Start of the flow; the only reads of model files in the library.
#include "nibble/file/byte_source.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "nibble/core/aligned_bytes.hpp"

namespace nibble::inline v0 {

namespace {

static_assert(std::endian::native == std::endian::little, "model files are read in place as little-endian");

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Error system_error(const std::string& name, std::string_view operation) {
  const int number = errno;  // before an allocation may change it
  return Error({.code = ErrorCode::io,
                .source = name,
                .field = std::string(operation),
                .found = std::generic_category().message(number)});
}

Error shrunk(const std::string& name, std::uint64_t size, std::uint64_t expected) {
  return Error({.code = ErrorCode::truncated,
                .source = name,
                .position = at_byte(size),
                .field = "file",
                .found = std::to_string(size) + " bytes",
                .allowed = std::to_string(expected) + " bytes, as when it was opened"});
}

// Without O_NONBLOCK, opening a FIFO would wait for a writer.
Descriptor open_regular(const std::string& name, std::uint64_t& size) {
  int fd = -1;
  do {
    fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw system_error(name, "open");
  Descriptor file(fd);
  struct stat status = {};
  if (::fstat(fd, &status) != 0) throw system_error(name, "stat");
  if (!S_ISREG(status.st_mode)) {
    throw Error({.code = ErrorCode::not_a_file, .source = name, .allowed = "a regular file"});
  }
  size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

class MappedFile final : public ByteSource {
 public:
  MappedFile(std::string name, std::span<const std::byte> bytes, Descriptor file) noexcept
      : ByteSource(std::move(name), bytes), file_(std::move(file)) {}
  ~MappedFile() override {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  void check_unchanged() const override {
    struct stat status = {};
    if (::fstat(file_.get(), &status) != 0) throw system_error(name_, "stat");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < bytes_.size()) throw shrunk(name_, size, bytes_.size());
  }

  // Only pages that lie inside the range as a whole: its neighbours may still be in use.
  void release(std::span<const std::byte> range) const noexcept override {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = (begin + range.size()) / page * page;
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }

 private:
  Descriptor file_;
};

class OwnedBytes final : public ByteSource {
 public:
  OwnedBytes(std::string name, AlignedBytes buffer, std::size_t size) noexcept
      : ByteSource(std::move(name), {buffer.data(), size}), buffer_(std::move(buffer)) {}

 private:
  AlignedBytes buffer_;  // aligned as in a mapping
};

std::shared_ptr<const ByteSource> map(std::string name, Descriptor file, std::uint64_t size) {
  std::span<const std::byte> bytes;
  if (size > 0) {
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (at == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();
    if (at == MAP_FAILED) throw system_error(name, "map");
    bytes = {static_cast<const std::byte*>(at), static_cast<std::size_t>(size)};
  }
  try {
    return std::make_shared<MappedFile>(std::move(name), bytes, std::move(file));
  } catch (...) {
    if (size > 0) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
    throw;
  }
}

std::shared_ptr<const ByteSource> copy(std::string name, const Descriptor& file, std::uint64_t size,
                                       const Watch& watch) {
  constexpr std::uint64_t chunk = 8u << 20;  // bytes between two looks at the stop token
  AlignedBytes buffer(size);
  std::uint64_t done = 0;
  while (done < size) {
    if (watch.stop.stop_requested()) throw Error({.code = ErrorCode::cancelled, .source = name});
    const ssize_t n = ::read(file.get(), buffer.data() + done, std::min(chunk, size - done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error(name, "read");
    if (n == 0) throw shrunk(name, done, size);
    done += static_cast<std::uint64_t>(n);
    if (watch.progress) watch.progress(Stage::load, done, size);
  }
  return std::make_shared<OwnedBytes>(std::move(name), std::move(buffer), static_cast<std::size_t>(size));
}

}  // namespace

std::shared_ptr<const ByteSource> ByteSource::open(const std::filesystem::path& path, LoadMode mode,
                                                   const Watch& watch) {
  return translate_errors([&] {
    std::string name = path.string();
    std::uint64_t size = 0;
    Descriptor file = open_regular(name, size);
    return mode == LoadMode::map ? map(std::move(name), std::move(file), size)
                                 : copy(std::move(name), file, size, watch);
  });
}

std::shared_ptr<const ByteSource> ByteSource::from_bytes(std::span<const std::byte> bytes, std::string name) {
  return translate_errors([&]() -> std::shared_ptr<const ByteSource> {
    AlignedBytes buffer(bytes.size());
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    return std::make_shared<OwnedBytes>(std::move(name), std::move(buffer), bytes.size());
  });
}

namespace {

template <class T>
T load(std::span<const std::byte> bytes) noexcept {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

std::span<const std::byte> ByteReader::take(std::uint64_t n, std::string_view field) {
  if (n > left()) {
    throw error(ErrorCode::truncated, offset(), field, std::to_string(left()) + " bytes",
                std::to_string(n) + " bytes");
  }
  const auto taken = bytes_.subspan(position_, n);
  position_ += n;
  return taken;
}

std::uint8_t ByteReader::u8(std::string_view field) { return load<std::uint8_t>(take(1, field)); }
std::uint16_t ByteReader::u16(std::string_view field) { return load<std::uint16_t>(take(2, field)); }
std::uint32_t ByteReader::u32(std::string_view field) { return load<std::uint32_t>(take(4, field)); }
std::uint64_t ByteReader::u64(std::string_view field) { return load<std::uint64_t>(take(8, field)); }
float ByteReader::f32(std::string_view field) { return load<float>(take(4, field)); }
double ByteReader::f64(std::string_view field) { return load<double>(take(8, field)); }

Error ByteReader::error(ErrorCode code, std::uint64_t at, std::string_view field, std::string found,
                        std::string allowed) const {
  return Error({.code = code,
                .source = std::string(source_),
                .position = at_byte(at),
                .field = std::string(field),
                .found = std::move(found),
                .allowed = std::move(allowed)});
}

}  // namespace nibble::inline v0
