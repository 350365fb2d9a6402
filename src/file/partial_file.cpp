// PartialFile over the POSIX calls.
// Beneath everything that writes files: GGUF, saved states.
#include "src/file/partial_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace nibble::inline v0 {

PartialFile::PartialFile(const std::filesystem::path& target)
    : target_(target.string()), name_(target_ + "." + std::to_string(::getpid()) + ".part") {
  do {
    fd_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) throw failure("create");
}

PartialFile::~PartialFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(name_.c_str());
}

void PartialFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw failure("write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void PartialFile::commit() {
  if (::close(std::exchange(fd_, -1)) != 0) throw failure("close");
  if (::rename(name_.c_str(), target_.c_str()) != 0) throw failure("rename");
  committed_ = true;
}

Error PartialFile::failure(std::string_view operation) const {
  const int number = errno;  // before an allocation may change it
  return Error({.code = ErrorCode::io,
                .source = target_,
                .field = std::string(operation),
                .found = std::generic_category().message(number)});
}

}  // namespace nibble::inline v0
