// Backends by name, and the tiers of the CPU backend by name.
#include "nibble/backend/backend.hpp"

#include "kernels/cpu/dispatch.hpp"
#include "nibble/core/error.hpp"
#include "support/catch.hpp"

using namespace nibble;

namespace {

Error make_error(std::string_view name, const BackendOptions& options) {
  try {
    make_backend(name, options);
  } catch (const Error& error) {
    return error;
  }
  return Error({.code = ErrorCode::internal, .found = "no error"});
}

}  // namespace

TEST_CASE("backends are made by name") {
  CHECK(backend_names() == std::vector<std::string_view>{"cpu", "cuda", "reference"});
  CHECK(make_backend("cpu", {.threads = 3})->threads() == 3);
  CHECK(make_backend("cpu", {})->threads() >= 1);
  CHECK(make_backend("reference", {})->name() == "reference/float32");
  CHECK(make_backend("reference", {.float64 = true})->name() == "reference/float64");

  const Error unknown = make_error("tpu", {});
  CHECK(unknown.code() == ErrorCode::unsupported);
  CHECK(unknown.found() == "'tpu'");
  CHECK(unknown.allowed() == "cpu, cuda, reference");
}

TEST_CASE("the empty name is the first tier that runs here; a forced one is what runs") {
  const std::span<const cpu::Tier> tiers = cpu::tiers();
  REQUIRE_FALSE(tiers.empty());
  CHECK(std::string_view(tiers.back().table->tier) == "portable");
  CHECK(tiers.back().features.empty());
  std::string best;
  for (const cpu::Tier& tier : tiers) {
    if (!cpu::runs_here(tier)) continue;
    const std::string name = tier.table->tier;
    if (best.empty()) best = name;
    CHECK(make_backend("cpu", {.isa = name})->name() == std::string("cpu/").append(name));
  }
  CHECK(make_backend("cpu", {})->name() == std::string("cpu/").append(best));
}

TEST_CASE("a tier that is not built, or not for this CPU, is refused with those that are") {
  const Error unknown = make_error("cpu", {.isa = "avx1024"});
  CHECK(unknown.code() == ErrorCode::unsupported);
  CHECK(unknown.found() == "'avx1024'");
  CHECK(unknown.allowed().find("portable") != std::string_view::npos);

  cpu::Tier tier = cpu::tiers().back();
  tier.features = "no_such_feature";
  CHECK_FALSE(cpu::runs_here(tier));
  CHECK_FALSE(cpu::has_feature("no_such_feature"));
  CHECK_FALSE(cpu::has_feature(""));
}
