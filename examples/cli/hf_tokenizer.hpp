// The tokenizer of a Hugging Face folder as GGUF metadata.
// Part of `nibble quantize FOLDER`.
#pragma once

#include <cstdint>

#include "nibble/file/checkpoint.hpp"
#include "nibble/file/metadata.hpp"

namespace cli {

// Sets the tokenizer.* keys, with texts of no use up to `vocab_size` tokens. What it writes is read back and
// held against the folder's own tokenizer on a text of all kinds: Failure(bad_model) where none of GGUF's
// ways to cut text gives the same tokens. Says on stderr where special tokens treat white space beside them
// in a way that GGUF has no key for. Errors: those of Tokenizer::load.
void add_tokenizer(const nibble::Checkpoint& checkpoint, std::uint32_t vocab_size,
                   nibble::Metadata& metadata);

}  // namespace cli
