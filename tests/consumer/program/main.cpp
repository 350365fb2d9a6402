// A stranger's program: one model, two engines with different settings, errors caught as nibble::Error.
#include <cstdio>
#include <string>

#include <nibble/nibble.hpp>

namespace {

std::string continue_text(const nibble::Engine& engine) {
  nibble::Session session(engine);
  std::string streamed;
  const nibble::Generation result = session.generate(
      "a", {.max_tokens = 4, .temperature = 0.0f, .ignore_end = true}, [&](std::string_view text) {
        streamed += text;
        return true;
      });
  return result.tokens.size() == 4 && result.text == streamed ? "" : "unexpected generation";
}

std::string use(const char* path) {
  const auto model = nibble::Model::open(path);
  const nibble::Engine cpu(model, {.backend = "cpu", .threads = 2, .context = 32, .sequences = 2});
  const nibble::Engine reference(model, {.backend = "reference", .kv = nibble::KvType::F32});
  if (cpu.options().context != 32 || cpu.plan().memory.total() == 0) return "unexpected plan";
  if (const std::string problem = continue_text(cpu) + continue_text(reference); !problem.empty())
    return problem;
  try {
    const nibble::Engine unknown(model, {.backend = "abacus"});
    return "an unknown backend was accepted";
  } catch (const nibble::Error& e) {
    return e.code() == nibble::ErrorCode::unsupported ? "" : e.what();
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string problem = argc == 2 ? use(argv[1]) : "usage: consumer MODEL";
    std::printf("nibble %s: %s\n", std::string(nibble::version).c_str(),
                problem.empty() ? "ok" : problem.c_str());
    return problem.empty() ? 0 : 1;
  } catch (const std::exception& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}
