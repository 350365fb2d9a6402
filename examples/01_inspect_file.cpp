// What is in a model file: its metadata and its tensors, without loading anything.
// The first arrow of the flow: file → checkpoint.
#include <cstdlib>
#include <iostream>

#include "nibble/file/checkpoint.hpp"
#include "nibble/quant/formats.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: 01_inspect_file MODEL\n";
    return EXIT_FAILURE;
  }
  try {
    const nibble::Checkpoint checkpoint = nibble::Checkpoint::open(argv[1]);
    for (const auto& [key, entry] : checkpoint.metadata.entries()) {
      std::cout << entry.position << ": " << key << " (" << nibble::type_name(entry.value) << ")\n";
    }
    for (const auto& [name, tensor] : checkpoint.tensors) {
      const nibble::Format* format = nibble::find_format(tensor.dtype);
      std::cout << "byte " << tensor.offset << ": " << name << ' ' << nibble::to_string(tensor.shape) << ' '
                << (format ? format->name : "unknown") << '\n';
    }
  } catch (const nibble::Error& e) {
    std::cerr << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
