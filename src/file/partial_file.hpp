// A file under a temporary name that takes its target's name only when it is complete.
// Beneath everything that writes files: GGUF, saved states.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

// Gone again unless commit() was reached. Every failure is Error(io) naming the target.
class PartialFile {
 public:
  explicit PartialFile(const std::filesystem::path& target);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  Error failure(std::string_view operation) const;

  std::string target_;
  std::string name_;
  int fd_ = -1;
  bool committed_ = false;
};

}  // namespace nibble::inline v0
