// Entry point of the tests that need a device: where there is none they are skipped, and say so.
// Exit code 77 is what CTest counts as skipped. A filter that no test matches is an error.
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
  Catch::Session session;
  if (const int wrong = session.applyCommandLine(argc, argv)) return wrong;
#ifdef CATCH_CONFIG_RUNNER  // later versions take it for an error by themselves
  session.configData().warnings = Catch::WarnAbout::NoTests;
#endif
  return session.run();
}
