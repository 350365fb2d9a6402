// One step by hand: tokens in, logits out, the most likely next tokens.
// The level below Session: plan → backend → logits.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <numeric>

#include "nibble/nibble.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: 03_one_token MODEL TEXT\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    nibble::Engine engine(model);
    nibble::Sequence sequence = engine.make_sequence();

    const std::vector<nibble::TokenId> tokens = model.tokenizer().encode(argv[2]);
    const nibble::StepInput input{.sequence = &sequence, .tokens = tokens, .outputs = nibble::Outputs::last};
    const std::vector<float> logits = engine.step({&input, 1});  // (vocab_size)

    std::vector<nibble::TokenId> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto shown = order.begin() + std::min<std::ptrdiff_t>(5, std::ssize(order));
    std::partial_sort(order.begin(), shown, order.end(),
                      [&](auto a, auto b) { return logits[a] > logits[b]; });
    for (auto token = order.begin(); token != shown; ++token) {
      std::cout << std::exp(nibble::log_probability(logits, *token)) << "  " << model.tokenizer().text(*token)
                << '\n';
    }
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
