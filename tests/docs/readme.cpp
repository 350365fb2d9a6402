// README.md's program, so that it compiles.
#include <iostream>
#include <nibble/nibble.hpp>

int main() {
  const auto model = nibble::Model::open("model.gguf");  // or a folder with config.json and *.safetensors
  nibble::Engine engine(model, {.threads = 8, .context = 4096});
  nibble::Session session(engine);
  session.generate("Why is the sky blue?", {.max_tokens = 128, .temperature = 0.7f, .seed = 1},
                   [](std::string_view text) {
                     std::cout << text << std::flush;
                     return true;  // false stops
                   });
}
