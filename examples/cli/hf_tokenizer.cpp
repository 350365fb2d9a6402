// tokenizer.json to tokenizer.ggml.*: vocabulary and kinds come from the library's tokenizer, merges from the
// file. See hf_tokenizer.hpp.
#include "hf_tokenizer.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "exit_code.hpp"
#include "nibble/text/tokenizer.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr std::string_view prefix = "tokenizer.ggml.";

// GGUF's names for ways to cut text, the more usual first.
constexpr const char* cuts[] = {
    "llama-bpe",    "qwen2",          "gpt-2",       "smollm",           "tekken", "gpt-4o",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen", "dbrx",   "default"};

// Words with and without capitals, contractions, digits, runs of spaces and line ends, scripts with and
// without spaces, marks that compose, symbols, code, and text that looks like a token.
constexpr std::string_view probe =
    "Hello, World! It's 12345 o'clock; WE'LL see.\n\n  Indented\t\ttabs   and    spaces \r\n\r\n"
    "Grüße aus Köln, naïve cafe\u0301, ÉCOLE. Привет, мир! Γειά σου. 你好,世界。こんにちは 한국어 "
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 हिन्दी 👍🏽 ½ + ¼ = ¾ €100 #tag @name "
    "for(int i=0;i<10;++i){x[i]+=3.14e-10;}//end\n\n\n<s> </s> <|im_end|> <0x0A> _under_score_ 0007 "
    "1,000,000";

void set(nibble::Metadata& metadata, const char* key, nibble::Value value) {
  metadata.set(std::string(prefix) + key, std::move(value));
}

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure(bad_model, path.string() + ": cannot be read");
  return nlohmann::json::parse(file);
}

std::vector<std::string> read_merges(const nlohmann::json& model) {
  std::vector<std::string> merges;
  for (const auto& merge : model.at("merges")) {
    merges.push_back(merge.is_array() ? merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>()
                                      : merge.get<std::string>());
  }
  return merges;
}

// What SentencePiece scores stand for: the earlier a merge, the higher its result.
std::vector<double> scores_of(const nibble::Tokenizer& tokenizer, const std::vector<std::string>& merges,
                              std::size_t n_tokens) {
  std::vector<double> scores(n_tokens, 0);
  std::vector<bool> known(n_tokens);
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    std::string result = merges[rank];
    result.erase(result.find(' ', 1), 1);
    const auto id = tokenizer.find(result);
    if (!id || known[static_cast<std::size_t>(*id)]) continue;
    known[static_cast<std::size_t>(*id)] = true;
    scores[static_cast<std::size_t>(*id)] = -1.0 - static_cast<double>(rank);
  }
  return scores;
}

// tokenizer.model has its tokens in the order of their scores.
std::vector<double> scores_by_id(std::size_t n_tokens) {
  std::vector<double> scores(n_tokens);
  for (std::size_t id = 0; id < n_tokens; ++id) scores[id] = -static_cast<double>(id);
  return scores;
}

void add_vocabulary(const nibble::Tokenizer& tokenizer, std::uint32_t vocab_size,
                    nibble::Metadata& metadata) {
  std::vector<std::string> tokens;
  std::vector<std::int64_t> kinds;
  for (std::uint32_t id = 0; id < vocab_size; ++id) {
    const auto token = static_cast<nibble::TokenId>(id);
    const bool known = id < tokenizer.size() && !tokenizer.text(token).empty();
    tokens.push_back(known ? std::string(tokenizer.text(token)) : "[PAD" + std::to_string(id) + "]");
    kinds.push_back(static_cast<std::int64_t>(known ? tokenizer.kind(token) : nibble::TokenKind::unused));
  }
  set(metadata, "tokens", std::move(tokens));
  set(metadata, "token_type", std::move(kinds));
}

void add_specials(const nibble::Tokenizer& tokenizer, nibble::Metadata& metadata) {
  if (const auto bos = tokenizer.bos()) set(metadata, "bos_token_id", std::int64_t{*bos});
  if (const auto eos = tokenizer.eos()) set(metadata, "eos_token_id", std::int64_t{*eos});
  std::vector<const char*> others = {"eom_token_id", "eot_token_id"};
  for (const nibble::TokenId end : tokenizer.ends()) {
    if (end == tokenizer.eos() || others.empty()) continue;
    set(metadata, others.back(), std::int64_t{end});
    others.pop_back();
  }
  set(metadata, "add_bos_token", tokenizer.adds_bos());
}

// The default under its own key, others with their names behind it, of letters and digits, and a list of
// these.
void add_templates(const nibble::Tokenizer& tokenizer, nibble::Metadata& metadata) {
  std::vector<std::string> names;
  for (const auto& [name, source] : tokenizer.chat_templates()) {
    if (name == "default") {
      metadata.set("tokenizer.chat_template", source);
      continue;
    }
    std::string plain = name;
    for (char& c : plain) {
      const bool kept = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (!kept) c = '_';
    }
    metadata.set("tokenizer.chat_template." + plain, source);
    names.push_back(std::move(plain));
  }
  if (!names.empty()) metadata.set("tokenizer.chat_templates", std::move(names));
}

// The probe, and tokens of the vocabulary with things between them: what its merges make a difference to.
std::string make_probe(const nibble::Tokenizer& tokenizer) {
  constexpr std::uint32_t most = 20'000;
  constexpr std::string_view between[] = {"", " ", "1", "\n", "'s", "A", "23", ".", "  ", "\u00e9"};
  std::string text(probe);
  const std::uint32_t step = tokenizer.size() / most + 1;
  for (std::uint32_t id = 0; id < tokenizer.size(); id += step) {
    const std::string bytes = tokenizer.bytes(static_cast<nibble::TokenId>(id));
    if (!nibble::find_invalid_utf8(bytes)) text.append(bytes).append(between[id / step % std::size(between)]);
  }
  return text;
}

bool cuts_alike(const nibble::Tokenizer& tokenizer, const nibble::Metadata& metadata) {
  try {
    const nibble::Tokenizer written = nibble::Tokenizer::from_gguf(metadata);
    const std::string text = make_probe(tokenizer);
    return written.encode(text) == tokenizer.encode(text);
  } catch (const nibble::Error&) {
    return false;  // a cut that this build does not know, or one that needs another vocabulary
  }
}

// GGUF has no key for added tokens that take white space away, or that get no space behind them.
void note_white_space(const nibble::Tokenizer& tokenizer, const nibble::Metadata& metadata) {
  std::string text = "  a";
  for (nibble::TokenId id = 0; id < static_cast<nibble::TokenId>(tokenizer.size()); ++id) {
    const nibble::TokenKind kind = tokenizer.kind(id);
    if (kind != nibble::TokenKind::control && kind != nibble::TokenKind::user_defined) continue;
    text.append(" \n").append(tokenizer.text(id)).append(" \na").append(tokenizer.text(id)).append("a");
  }
  const nibble::EncodeOptions as_tokens{.parse_special = true};
  const nibble::Tokenizer written = nibble::Tokenizer::from_gguf(metadata);
  if (written.encode(text, as_tokens) != tokenizer.encode(text, as_tokens)) {
    print_note(
        "GGUF cannot say what this tokenizer does with white space beside special tokens: ids there "
        "may differ");
  }
}

}  // namespace

void add_tokenizer(const nibble::Checkpoint& checkpoint, std::uint32_t vocab_size,
                   nibble::Metadata& metadata) {
  const nibble::Tokenizer tokenizer = nibble::Tokenizer::load(checkpoint);
  const std::filesystem::path path = checkpoint.folder / "tokenizer.json";
  const bool is_json = std::filesystem::exists(path);
  const nlohmann::json model = is_json ? read_json(path).at("model") : nlohmann::json::object();
  std::vector<std::string> merges = is_json ? read_merges(model) : std::vector<std::string>();
  if (tokenizer.size() > vocab_size) {
    throw Failure(bad_model, checkpoint.folder.string() + ": " + std::to_string(tokenizer.size()) +
                                 " tokens, but " + std::to_string(vocab_size) + " rows of embeddings");
  }
  add_vocabulary(tokenizer, vocab_size, metadata);
  add_specials(tokenizer, metadata);
  add_templates(tokenizer, metadata);
  if (!is_json || model.value("byte_fallback", false)) {
    set(metadata, "model", std::string("llama"));
    set(metadata, "pre", std::string("default"));
    set(metadata, "scores", is_json ? scores_of(tokenizer, merges, vocab_size) : scores_by_id(vocab_size));
    set(metadata, "add_space_prefix", tokenizer.adds_space_prefix());
    if (cuts_alike(tokenizer, metadata)) return note_white_space(tokenizer, metadata);
  } else {
    set(metadata, "model", std::string("gpt2"));
    set(metadata, "merges", std::move(merges));
    for (const char* cut : cuts) {
      set(metadata, "pre", std::string(cut));
      if (cuts_alike(tokenizer, metadata)) return note_white_space(tokenizer, metadata);
    }
  }
  throw Failure(bad_model, checkpoint.folder.string() + ": cuts text as none of GGUF's tokenizers does");
}

}  // namespace cli
