// The table of pre-tokenizer names and their patterns. To add one: its patterns and one line in `table`.
// Read by the GGUF loader; the JSON loader asks which patterns are known to be harmless.
#include "src/text/pre_patterns.hpp"

#include <algorithm>
#include <array>

namespace nibble::inline v0 {

namespace {

using View = std::string_view;

constexpr View gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr View cl100k = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                        R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr View qwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                       R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr View o200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr View tekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                        R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                        R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Letters with case, as DeepSeek lists them; fewer than Unicode has.
constexpr View deepseek_letters =
    "\\s?["
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯ"
    "Ա-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅ"
    "Ὀ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥ"
    "ῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎ"
    "ↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆ"
    "ﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
    "]+";

constexpr View deepseek_v3 =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

constexpr View one_digit = R"(\p{N})";
constexpr View digits = R"(\p{N}+)";
constexpr View three_digits = R"(\p{N}{1,3})";
constexpr View line_end = "[\r\n]";
constexpr View cjk = "[一-龥ࠀ-一가-퟿]+";

constexpr std::array<View, 1> by_gpt2 = {gpt2};
constexpr std::array<View, 2> by_digit_gpt2 = {one_digit, gpt2};
constexpr std::array<View, 1> by_cl100k = {cl100k};
constexpr std::array<View, 1> by_qwen2 = {qwen2};
constexpr std::array<View, 1> by_o200k = {o200k};
constexpr std::array<View, 1> by_tekken = {tekken};
constexpr std::array<View, 6> by_deepseek_llm = {
    line_end, deepseek_letters, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", white_space_at_end, cjk, digits};
constexpr std::array<View, 5> by_deepseek_coder = {line_end, R"(\s?\p{L}+)", R"(\s?\p{P}+)", cjk, one_digit};
constexpr std::array<View, 3> by_deepseek_v3 = {three_digits, "[一-龥\u3040-ゟ゠-ヿ]+", deepseek_v3};
constexpr std::array<View, 4> by_default = {R"([\p{P}\$\+<=>\^~\|]+)", gpt2, digits, "[0-9][0-9][0-9]"};

constexpr bool bos = true, whole = true, nfc = true;

constexpr PrePatterns table[] = {
    PrePatterns{"default", by_default},
    PrePatterns{"gpt-2", by_gpt2},
    PrePatterns{"phi-2", by_gpt2},
    PrePatterns{"smollm", by_digit_gpt2},
    PrePatterns{"starcoder", by_digit_gpt2},
    PrePatterns{"refact", by_digit_gpt2},
    PrePatterns{"command-r", by_digit_gpt2},
    PrePatterns{"llama-bpe", by_cl100k, bos, whole},
    PrePatterns{"llama3", by_cl100k, bos, whole},
    PrePatterns{"llama-v3", by_cl100k, bos, whole},
    PrePatterns{"falcon3", by_cl100k, bos, whole},
    PrePatterns{"pixtral", by_cl100k, bos, whole},
    PrePatterns{"dbrx", by_cl100k},
    PrePatterns{"smaug-bpe", by_cl100k},
    PrePatterns{"glm4", by_cl100k},
    PrePatterns{"chatglm-bpe", by_cl100k},
    PrePatterns{"qwen2", by_qwen2, false, false, nfc},
    PrePatterns{"deepseek-r1-qwen", by_qwen2},
    PrePatterns{"stablelm2", by_qwen2},
    PrePatterns{"gpt-4o", by_o200k},
    PrePatterns{"llama4", by_o200k},
    PrePatterns{"tekken", by_tekken, bos, whole},
    PrePatterns{"deepseek-llm", by_deepseek_llm},
    PrePatterns{"deepseek-coder", by_deepseek_coder},
    PrePatterns{"deepseek-v3", by_deepseek_v3},
};

}  // namespace

const std::string_view gpt2_pattern = gpt2;

const PrePatterns* find_pre_patterns(std::string_view name) noexcept {
  const auto it =
      std::find_if(std::begin(table), std::end(table), [&](const auto& row) { return row.name == name; });
  return it == std::end(table) ? nullptr : it;
}

std::string pre_pattern_names() {
  std::string names;
  for (const PrePatterns& row : table) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

bool is_known_pattern(std::string_view pattern) noexcept {
  return std::any_of(std::begin(table), std::end(table), [&](const PrePatterns& row) {
    return std::find(row.patterns.begin(), row.patterns.end(), pattern) != row.patterns.end();
  });
}

}  // namespace nibble::inline v0
