// Fuzzes the tokenizer.json loader: any bytes give a positioned Error or a tokenizer that works.
// See tests/fuzz/CMakeLists.txt for how to run it.
#include <array>
#include <string>

#include "fuzz/oracle.hpp"
#include "nibble/text/tokenizer.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;

namespace {

constexpr std::string_view text =
    "Hello, world!  <s>it's 12345</s>\r\n\t<|im_end|> é e\u0301 世界 \u0323\u0301\U0001F600 "
    "aaaaaaaaaaaaaaaa\n\n\n  x ";

// Half-read vocabularies need not spell the text, but ids, bytes and streams must fit together.
void demand_working(const Tokenizer& tokenizer) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
    TextStream stream(tokenizer, parse_special);
    std::string streamed;
    for (const TokenId id : ids) {
      fuzz::demand(id >= 0 && static_cast<std::uint32_t>(id) < tokenizer.size());
      streamed += stream.push(id);
      fuzz::demand(!find_invalid_utf8(streamed));
    }
    fuzz::demand(streamed + stream.finish() == tokenizer.decode(ids, parse_special));
  }
  for (const TokenId id : tokenizer.ends()) fuzz::demand(tokenizer.is_end(id));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempFolder folder;
  const auto path = folder.write("tokenizer.json", {reinterpret_cast<const char*>(data), size});
  Limits limits;
  limits.vocabulary = 100'000;  // ids may have gaps: a few bytes stand for that many tokens
  try {
    // One file serves as all three: they share no keys.
    demand_working(Tokenizer::from_json(path, path, path, limits));
  } catch (const Error& error) {
    fuzz::demand(error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory);
    fuzz::demand(error.source() == path.string() || error.source() == "encode");
  } catch (...) {
    fuzz::demand(false);
  }
  return 0;
}
