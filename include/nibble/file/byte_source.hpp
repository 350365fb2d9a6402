// A whole file as bytes, mapped or copied, and the one bounded reader that every binary parser uses.
// Start of the flow: nothing else in the library opens model files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "nibble/core/error.hpp"
#include "nibble/core/watch.hpp"

namespace nibble::inline v0 {

enum class LoadMode {
  map,   // pages come from the file on demand; the file must not shrink while it is in use (SIGBUS)
  copy,  // read into memory at once: safe against any later change of the file
};

// Immutable bytes of one regular file. Shared by everything that points into it.
class NIBBLE_API ByteSource {
 public:
  // Errors: io, not_a_file (FIFO, device, folder), out_of_memory, cancelled, truncated (the file shrank while
  // being read).
  static std::shared_ptr<const ByteSource> open(const std::filesystem::path& path,
                                                LoadMode mode = LoadMode::map, const Watch& watch = {});
  // Bytes already in memory, copied; `name` stands for the path in errors.
  static std::shared_ptr<const ByteSource> from_bytes(std::span<const std::byte> bytes, std::string name);

  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  const std::string& name() const noexcept { return name_; }
  // map: Error(truncated) if the file is no longer as long as it was when opened. copy: nothing.
  virtual void check_unchanged() const {}
  // A hint that these bytes will not be needed again soon (they stay readable).
  virtual void release(std::span<const std::byte> range) const noexcept { static_cast<void>(range); }

 protected:
  ByteSource(std::string name, std::span<const std::byte> bytes) : name_(std::move(name)), bytes_(bytes) {}
  std::string name_;
  std::span<const std::byte> bytes_;
};

// Walks over bytes and never past them: each read states a field name, each failure is Error(truncated) at
// its offset.
class NIBBLE_API ByteReader {
 public:
  // `base` is added to the offsets in errors (position of bytes[0] in its file).
  ByteReader(std::span<const std::byte> bytes, std::string_view source, std::uint64_t base = 0)
      : bytes_(bytes), source_(source), base_(base) {}

  std::uint64_t offset() const noexcept { return base_ + position_; }
  std::uint64_t left() const noexcept { return bytes_.size() - position_; }
  std::string_view source() const noexcept { return source_; }

  std::uint8_t u8(std::string_view field);
  std::uint16_t u16(std::string_view field);
  std::uint32_t u32(std::string_view field);
  std::uint64_t u64(std::string_view field);
  float f32(std::string_view field);
  double f64(std::string_view field);
  std::span<const std::byte> take(std::uint64_t n, std::string_view field);

  // An Error at byte `at` of the file.
  Error error(ErrorCode code, std::uint64_t at, std::string_view field, std::string found,
              std::string allowed) const;

 private:
  std::span<const std::byte> bytes_;
  std::string_view source_;
  std::uint64_t base_;
  std::uint64_t position_ = 0;
};

}  // namespace nibble::inline v0
