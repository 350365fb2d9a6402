// Writing through a temporary file.
// See output_file.hpp.
#include "output_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <system_error>

#include "exit_code.hpp"

namespace cli {

namespace {

// Of the library's kind, so that it comes out of a step as it went in.
nibble::Error cannot_write(const std::string& path, const std::error_code& reason) {
  return nibble::Error({.code = nibble::ErrorCode::io,
                        .source = path == "-" ? "stdout" : path,
                        .field = "write",
                        .found = reason.message()});
}

// Streams leave the reason where the system put it.
std::error_code last_reason() { return {errno, std::generic_category()}; }

}  // namespace

void check_output_path(const std::filesystem::path& path) {
  if (path == "-") throw Failure(usage, "-: a model goes to a file, not to stdout");
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Failure(failure, path.string() + ": not a regular file");
  }
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  if (path == "-") return;
  check_output_path(path);
  temporary_ = path + ".partial-" + std::to_string(getpid());
  file_.open(temporary_, std::ios::binary | std::ios::trunc);
  if (!file_) throw cannot_write(path, last_reason());
}

OutputFile::~OutputFile() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove(temporary_, ignored);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  std::ostream& out = temporary_.empty() ? std::cout : file_;
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw cannot_write(path_, last_reason());
}

void OutputFile::commit() {
  if (temporary_.empty()) return;  // main flushes stdout
  file_.close();
  if (!file_) throw cannot_write(path_, last_reason());
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) throw cannot_write(path_, error);
  temporary_.clear();
}

}  // namespace cli
