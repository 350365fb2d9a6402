// Writing through a temporary file.
// See output_file.hpp.
#include "output_file.hpp"

#include <unistd.h>

#include <iostream>

#include "exit_code.hpp"

namespace cli {

void check_output_path(const std::filesystem::path& path) {
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
  if (!file_) throw Failure(failure, path + ": cannot be written");
}

OutputFile::~OutputFile() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove(temporary_, ignored);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  std::ostream& out = temporary_.empty() ? std::cout : file_;
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw Failure(failure, path_ + ": cannot be written");
}

void OutputFile::commit() {
  if (temporary_.empty()) return;  // main flushes stdout
  file_.close();
  std::error_code error;
  if (!file_.fail()) std::filesystem::rename(temporary_, path_, error);
  if (file_.fail() || error) throw Failure(failure, path_ + ": cannot be written");
  temporary_.clear();
}

}  // namespace cli
