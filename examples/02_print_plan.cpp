// What a backend is given: the model as straight-line steps.
// The middle of the flow: checkpoint → model → plan.
#include <cstdlib>
#include <iostream>

#include "nibble/model.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: 02_print_plan MODEL\n";
    return EXIT_FAILURE;
  }
  try {
    const auto model = nibble::Model::open(argv[1]);
    for (const nibble::Step& step : model.plan().steps) {
      std::cout << nibble::describe(step, model.weights()) << '\n';
    }
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
