// Text in, text out, as it is written.
// The whole flow through its highest level: Session.
#include <cstdlib>
#include <iostream>

#include "nibble/nibble.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: 04_generate MODEL PROMPT\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    nibble::Engine engine(model, {.context = 512});
    nibble::Session session(engine);
    const nibble::Generation result = session.generate(
        argv[2], {.max_tokens = 128, .temperature = 0.7f, .seed = 1}, [](std::string_view text) {
          std::cout << text << std::flush;
          return true;  // false stops
        });
    std::cerr << "\n" << result.tokens.size() << " tokens, " << nibble::to_string(result.reason) << '\n';
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
