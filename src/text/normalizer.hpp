// What happens to a fragment of text before it is split: composition, replacement, a prefix.
// Second step of encode(), between the special tokens and the pre-tokenizer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nibble::inline v0 {

struct Rewrite {
  enum class Kind { compose, replace, prepend };
  Kind kind = Kind::compose;       // compose: to Unicode's NFC
  std::string from = {};           // replace: every occurrence of this
  std::string to = {};             // replace: by this; prepend: this
  bool unless_present = false;     // prepend: not before text that starts with it
  bool only_at_beginning = false;  // prepend: not to a fragment behind a special token
};

// `text` (valid UTF-8) after all rewrites in order; points into `storage` or is `text` itself. An empty text
// stays empty. Error(limit) where the text grows beyond 16 times its size and 1 MiB.
std::string_view rewrite(const std::vector<Rewrite>& rewrites, std::string_view text, bool at_beginning,
                         std::string& storage);

// Unicode normalization form C, in time n log n for any text.
std::string compose(std::string_view text);

}  // namespace nibble::inline v0
