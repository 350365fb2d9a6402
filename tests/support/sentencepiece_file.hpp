// The tiny SPM tokenizer as a tokenizer.model, to be used as it is or spoilt.
// Used by the text stage's tests; the wire format is written out here, independently of the library's reader.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "support/tiny_tokenizers.hpp"

namespace nibble::test {

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out += static_cast<char>(value);
}
inline std::string number_field(unsigned field, std::int64_t value) {
  return varint(field << 3) + varint(static_cast<std::uint64_t>(value));
}
inline std::string bytes_field(unsigned field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string float_field(unsigned field, float value) {
  std::string out = varint(field << 3 | 5) + "1234";
  std::memcpy(out.data() + out.size() - 4, &value, 4);
  return out;
}

inline std::string piece_field(std::string_view text, float score, int type) {
  return bytes_field(1,
                     bytes_field(1, text) + float_field(2, score) + (type == 1 ? "" : number_field(3, type)));
}

// BPE with byte tokens, texts as they are: what Llama, Mistral and Gemma say.
inline std::string trainer_field() {
  return bytes_field(2, number_field(3, 2) + number_field(35, 1) + number_field(40, 0));
}
inline std::string normalizer_field(bool adds_prefix = true) {
  return bytes_field(3, bytes_field(1, "identity") + bytes_field(2, "") + number_field(3, adds_prefix) +
                            number_field(4, 0) + number_field(5, 1));
}

// The pieces of spm_keys().
inline std::string spm_pieces() {
  const Keys keys = spm_keys();
  const auto& texts = std::get<std::vector<std::string>>(keys.at("tokenizer.ggml.tokens"));
  const auto& scores = std::get<std::vector<double>>(keys.at("tokenizer.ggml.scores"));
  const auto& types = std::get<std::vector<std::int64_t>>(keys.at("tokenizer.ggml.token_type"));
  std::string out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    out += piece_field(texts[i], static_cast<float>(scores[i]), static_cast<int>(types[i]));
  }
  return out;
}

inline std::string spm_model() { return spm_pieces() + trainer_field() + normalizer_field(); }

}  // namespace nibble::test
