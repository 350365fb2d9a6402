// What the fuzz targets of tokenizer files demand: an Error that says where, or a tokenizer that works.
// Beside oracle.hpp.
#pragma once

#include <string>

#include "fuzz/oracle.hpp"
#include "nibble/text/tokenizer.hpp"

namespace nibble::fuzz {

// Half-read vocabularies need not spell the text, but ids, bytes and streams must fit together.
inline void demand_working(const Tokenizer& tokenizer) {
  constexpr std::string_view text =
      "Hello, world!  <s>it's 12345</s>\r\n\t<|im_end|> é e\u0301 世界 \u0323\u0301\U0001F600 "
      "aaaaaaaaaaaaaaaa\n\n\n  x ";
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
    TextStream stream(tokenizer, parse_special);
    std::string streamed;
    for (const TokenId id : ids) {
      demand(id >= 0 && static_cast<std::uint32_t>(id) < tokenizer.size());
      streamed += stream.push(id);
      demand(!find_invalid_utf8(streamed));
    }
    demand(streamed + stream.finish() == tokenizer.decode(ids, parse_special));
  }
  for (const TokenId id : tokenizer.ends()) demand(tokenizer.is_end(id));
}

// `load` reads the file at `path`, and no other that could be wrong.
template <class Load>
void demand_tokenizer_or_error(const std::string& path, Load&& load) {
  try {
    demand_working(load());
  } catch (const Error& error) {
    demand(error.code() != ErrorCode::internal && error.code() != ErrorCode::out_of_memory);
    demand(error.source() == path || error.source() == "encode");
  } catch (...) {
    demand(false);
  }
}

}  // namespace nibble::fuzz
