// The list of backends: one line each.
// Between Engine, which asks by name, and kernels/<name>/.
#include "nibble/backend/backend.hpp"

#include <algorithm>
#include <string>

#include "kernels/backends.hpp"
#include "nibble/core/error.hpp"

namespace nibble::inline v0 {

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Backend> (*make)(const BackendOptions& options);
};

constexpr Entry backends[] = {
    {"cpu", cpu::make_backend},
    {"cuda", cuda::make_backend},
    {"reference", reference::make_backend},
};

}  // namespace

bool Backend::run_ranked(const Batch&, const RankOptions&, std::span<RankedRow>, const std::stop_token&) {
  return false;
}

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : backends) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Backend> make_backend(std::string_view name, const BackendOptions& options) {
  return translate_errors([&] {
    for (const Entry& entry : backends) {
      if (entry.name == name) return entry.make(options);
    }
    std::string known;
    for (const Entry& entry : backends) known.append(known.empty() ? "" : ", ").append(entry.name);
    throw Error({.code = ErrorCode::unsupported,
                 .field = "backend",
                 .found = std::string("'").append(name).append("'"),
                 .allowed = known});
  });
}

}  // namespace nibble::inline v0
