// Entry point of the tests that need a device: where there is none they are skipped, and say so.
// Exit code 77 is what CTest counts as skipped.
#include <cstdio>

#include "nibble/core/error.hpp"
#include "tests/cuda/subject.hpp"

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char** argv) {
  try {
    nibble::make_subject({});
  } catch (const nibble::Error& error) {
    if (error.code() != nibble::ErrorCode::no_device) throw;
    std::printf("SKIPPED: %s\n", error.what());
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
