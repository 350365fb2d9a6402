// Which of several labels follows a text best: a classifier without generating anything.
// Session::score gives the log-probability of each of a label's tokens after what the session holds.
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "nibble/nibble.hpp"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: 05_classify MODEL TEXT LABEL...\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    nibble::Engine engine(model, {.context = 1024});
    nibble::Session session(engine);
    session.append(argv[2]);  // evaluated once, however many labels there are

    const char* best = nullptr;
    double best_score = -INFINITY;
    for (int i = 3; i < argc; ++i) {
      double score = 0;  // log P(label | text)
      for (const nibble::GeneratedToken& token : session.score(argv[i])) score += token.logprob;
      std::cerr << score << "  " << argv[i] << '\n';
      if (score > best_score) {
        best = argv[i];
        best_score = score;
      }
    }
    std::cout << (best != nullptr ? best : "none") << '\n';
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
