// Talks to a model over several turns, each of which evaluates only what is new.
// The model's own template turns the conversation into a prompt; the session's cache keeps what they share.
#include <algorithm>
#include <iostream>

#include "nibble/nibble.hpp"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " MODEL MESSAGE...\n";
    return 2;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    const nibble::ChatTemplate chat(model.tokenizer());
    nibble::Engine engine(model, {.context = 512});
    nibble::Session session(engine);

    std::vector<nibble::ChatMessage> messages;
    for (int i = 2; i < argc; ++i) {
      messages.push_back({"user", argv[i]});
      const auto prompt = nibble::encode_chat(model.tokenizer(), chat.render(messages));

      const auto kept = std::ranges::mismatch(session.tokens(), prompt).in2 - prompt.begin();
      session.rewind(static_cast<std::uint32_t>(kept));
      session.append(std::span(prompt).subspan(static_cast<std::size_t>(kept)));

      const auto answer = session.generate("", {.max_tokens = 64, .temperature = 0});
      messages.push_back({"assistant", answer.text});
      std::cout << "> " << argv[i] << '\n' << answer.text << '\n';
    }
    return 0;
  } catch (const nibble::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
