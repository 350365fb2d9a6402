// A file that appears only when it is complete.
// Written beside its path under another name, renamed by commit().
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace cli {

// Failure where `path` is something other than a regular file: renaming would replace a device or a folder;
// or stdout.
void check_output_path(const std::filesystem::path& path);

class OutputFile {
 public:
  // "-" is stdout. Failure where the path is not for a file; here and below Error(io) where it cannot be
  // written.
  explicit OutputFile(const std::string& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // removes what was not committed

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  std::string path_;
  std::string temporary_;  // empty: stdout
  std::ofstream file_;
};

}  // namespace cli
