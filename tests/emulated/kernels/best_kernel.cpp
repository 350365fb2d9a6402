// Prints the matmul kernel that Q4_0 gets on this CPU.
#include <cstdio>

#include "kernels/cpu/dispatch.hpp"
#include "nibble/quant/formats.hpp"

int main() {
  const nibble::cpu::Kernels kernels(nibble::cpu::find_tier(""));
  std::puts(kernels.matmul(*nibble::find_format("Q4_0"), 64, 64).name);
}
