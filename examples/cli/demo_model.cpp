// Looks for the demo model relative to the running program.
// See demo_model.hpp.
#include "demo_model.hpp"

#include <filesystem>

#include "exit_code.hpp"

namespace cli {

std::string find_demo_model() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path installed = program.parent_path().parent_path() / "share/nibble/models/demo.gguf";
  for (const fs::path& path : {installed, fs::path(NIBBLE_DEMO_MODEL)}) {
    if (fs::exists(path, ignored)) return path.string();
  }
  throw Failure(bad_model, "the demo model is missing from " + installed.string() + " and " +
                               NIBBLE_DEMO_MODEL + "; name a model with -m");
}

}  // namespace cli
