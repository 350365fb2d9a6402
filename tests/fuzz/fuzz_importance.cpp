// Fuzzes the reader of importance matrices in both their forms: finite weights or a positioned Error.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include <cmath>

#include "fuzz/oracle.hpp"
#include "nibble/file/importance.hpp"

using namespace nibble;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto source = fuzz::as_source(data, size);
  fuzz::only_errors([&] {
    std::size_t n = 0;
    for (const auto& [name, weights] : read_importance(*source)) {
      for (const float weight : weights) fuzz::demand(weight >= 0 && !std::isnan(weight));
      n += weights.size();
    }
    fuzz::demand(n <= source->bytes().size());
  });
  return 0;
}
