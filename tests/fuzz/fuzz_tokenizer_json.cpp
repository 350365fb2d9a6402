// Fuzzes the tokenizer.json loader: any bytes give a positioned Error or a tokenizer that works.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include "fuzz/tokenizer_oracle.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempFolder folder;
  const auto path = folder.write("tokenizer.json", {reinterpret_cast<const char*>(data), size});
  Limits limits;
  limits.vocabulary = 100'000;  // ids may have gaps: a few bytes stand for that many tokens
  // One file serves as all three: they share no keys.
  fuzz::demand_tokenizer_or_error(path.string(),
                                  [&] { return Tokenizer::from_json(path, path, path, limits); });
  return 0;
}
