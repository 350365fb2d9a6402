// Fuzzes the tokenizer.model loader: any bytes give a positioned Error or a tokenizer that works.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include "fuzz/tokenizer_oracle.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempFolder folder;
  const auto path = folder.write("tokenizer.model", {reinterpret_cast<const char*>(data), size});
  fuzz::demand_tokenizer_or_error(path.string(), [&] { return Tokenizer::from_sentencepiece(path); });
  return 0;
}
