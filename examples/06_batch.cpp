// Several texts at once: their next tokens come from one step, so that the weights are read once for all.
// Each text gets the tokens that it would get alone, bit for bit.
#include <cstdlib>
#include <iostream>

#include "nibble/nibble.hpp"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: 06_batch MODEL TEXT...\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    const nibble::Tokenizer& tokenizer = model.tokenizer();
    const auto n = static_cast<std::uint32_t>(argc - 2);
    nibble::Engine engine(model, {.context = 256, .sequences = n});
    nibble::Sampler greedy({.temperature = 0}, model.config().vocab_size);

    std::vector<nibble::Sequence> sequences;
    std::vector<std::vector<nibble::TokenId>> texts,
        news;  // all tokens of each text; those not yet evaluated
    for (std::uint32_t i = 0; i < n; ++i) {
      sequences.push_back(engine.make_sequence());
      texts.push_back(tokenizer.encode(argv[2 + i]));
    }
    news = texts;
    for (int step = 0; step < 32; ++step) {
      std::vector<nibble::StepInput> inputs;
      for (std::uint32_t i = 0; i < n; ++i) inputs.push_back({.sequence = &sequences[i], .tokens = news[i]});
      const std::vector<float> logits = engine.step(inputs);  // (n, vocab_size)
      const std::size_t width = logits.size() / n;
      for (std::uint32_t i = 0; i < n; ++i) {
        news[i] = {greedy.sample(std::span(logits).subspan(i * width, width), texts[i]).token};
        texts[i].push_back(news[i].front());
      }
    }
    for (const auto& text : texts) std::cout << tokenizer.decode(text) << "\n\n";
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
