// Fuzzes encoding and decoding with two tiny tokenizers: texts come back, ids give text, the rest is refused.
// The first byte chooses the tokenizer and the options. See tests/fuzz/CMakeLists.txt for how to run it.
#include <string>
#include <vector>

#include "fuzz/oracle.hpp"
#include "nibble/text/tokenizer.hpp"
#include "support/tiny_tokenizers.hpp"

using namespace nibble;

namespace {

using Ids = std::vector<TokenId>;

void demand_refused(const Tokenizer& tokenizer, std::string_view text, std::size_t bad) {
  try {
    (void)tokenizer.encode(text);
    fuzz::demand(false);
  } catch (const Error& error) {
    fuzz::demand(error.code() == ErrorCode::invalid_argument && error.position() == at_byte(bad));
  }
}

void demand_same(const Tokenizer& tokenizer, const Ids& ids, bool show_special) {
  TextStream stream(tokenizer, show_special);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string piece = stream.push(id);
    fuzz::demand(!find_invalid_utf8(piece));
    streamed += piece;
  }
  fuzz::demand(streamed + stream.finish() == tokenizer.decode(ids, show_special));
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer spm = Tokenizer::from_gguf(test::as_metadata(test::spm_keys()));
  static const Tokenizer bpe = Tokenizer::from_gguf(test::as_metadata(test::bpe_keys()));
  if (size == 0) return 0;
  const bool is_spm = data[0] & 1, parse_special = data[0] & 2, add_special = data[0] & 4;
  const Tokenizer& tokenizer = is_spm ? spm : bpe;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);

  if (const auto bad = find_invalid_utf8(text)) {
    demand_refused(tokenizer, text, *bad);
    const std::string repaired = repair_utf8(text);
    fuzz::demand(!find_invalid_utf8(repaired) && repair_utf8(repaired) == repaired);
  } else {
    const Ids ids = tokenizer.encode(text, {.add_special = add_special, .parse_special = parse_special});
    // SentencePiece reads its mark as a space, and puts a space behind added tokens.
    const bool exact = !parse_special && !(is_spm && (has(text, "▁") || has(text, "<tool>")));
    if (exact) fuzz::demand(tokenizer.decode(ids) == text);
    demand_same(tokenizer, ids, parse_special);
  }
  Ids ids;
  for (std::size_t i = 1; i + 1 < size; i += 2) {
    ids.push_back(static_cast<TokenId>((data[i] | data[i + 1] << 8) % tokenizer.size()));
  }
  demand_same(tokenizer, ids, add_special);
  return 0;
}
