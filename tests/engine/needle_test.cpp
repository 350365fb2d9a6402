// Finding needles in a long text, with a model written by hand: the engine and its attention over many
// positions. NIBBLE_NEEDLE_POSITIONS=131072 in the environment makes the text as long as Llama 3.2's longest.
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "nibble/file/gguf.hpp"
#include "nibble/nibble.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace nibble;
using namespace nibble::test;

// The text is noise in which eight names stand once each, a value behind each. Asked a name at the end, the
// model gives its value: it has learnt, from our own hand, what is called an induction head. One layer looks
// one position back and notes which token stood there; another looks for the position whose note is the token
// asked for, wherever it is, and copies the token there. The first needs fast rotary pairs to be exact at
// every position; the second needs pairs that turn little over the whole text (llama: slow ones, stretched as
// in Llama 3.2), or none (smollm3: layer 3 knows no positions).
namespace {

constexpr std::uint32_t n_tokens = 32, n_names = 8;  // names are tokens 0 to 7, noise and values all others
constexpr std::uint32_t dim = 64;                    // of the stream and of the one head
constexpr std::uint32_t code_dim = 16;
// A token is a vector of 16 signs, no two of which agree in more than half of them. The stream: a 1, the
// token's code, the code of the token before it, the answer's.
constexpr std::uint32_t at_one = 0, at_code = 16, at_before = 32, at_answer = 48;
constexpr std::uint32_t fast_dims = 32, slow_dims = 48;  // of the head: up to the one, from the other
constexpr float stretch = 32;

struct Kind {
  std::string architecture = "llama";
  std::uint32_t layers = 2;  // the first looks back, the last looks for the name, any between do nothing
  bool stretched = true;
};

std::uint32_t text_length() {
  const char* given = std::getenv("NIBBLE_NEEDLE_POSITIONS");
  return given == nullptr ? 4096 : static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10));
}

// 500,000 for 131,072 positions, as in Llama 3.2, and such that the slow pairs turn as little over other
// lengths.
double rope_base() { return 5e5 * std::pow(text_length() / 131072.0, 4.0 / 3); }

// Rows of a Hadamard matrix, then their opposites.
float code(std::uint32_t token, std::uint32_t i) {
  const bool odd = std::popcount(token % code_dim & i) % 2 != 0;
  return odd == (token < code_dim) ? -1.0f : 1.0f;
}

using Values = std::vector<float>;

class Writer {
 public:
  explicit Writer(const Kind& kind) : kind_(kind) {
    add("token_embd", n_tokens, [](auto&& at) {
      for (std::uint32_t t = 0; t < n_tokens; ++t) {
        at(t, at_one) = 1;
        for (std::uint32_t i = 0; i < code_dim; ++i) at(t, at_code + i) = code(t, i);
      }
    });
    for (std::uint32_t l = 0; l < kind.layers; ++l) add_layer(l);
    add_norm("output_norm", 1 + 3 * code_dim);
    add("output", n_tokens, [](auto&& at) {
      for (std::uint32_t t = 0; t < n_tokens; ++t)
        for (std::uint32_t i = 0; i < code_dim; ++i) at(t, at_answer + i) = code(t, i);
    });
    if (kind.architecture != "llama" || !kind.stretched) return;
    Values divisors(dim / 2, 1.0f);
    std::fill(divisors.begin() + slow_dims / 2, divisors.end(), stretch);
    add_tensor("rope_freqs", {dim / 2}, std::move(divisors));
  }

  Model open() const {
    const TempFolder folder;
    write_gguf(folder.path() / "needle.gguf", metadata(), tensors_);
    return Model::open(folder.path() / "needle.gguf", {.load = LoadMode::copy});
  }

 private:
  void add_tensor(const std::string& name, const Shape& shape, Values values) {
    tensors_.push_back({name + ".weight", Dtype::F32, shape, [values](std::span<std::byte> out) {
                          std::memcpy(out.data(), values.data(), out.size());
                        }});
  }
  // A matrix of so many rows, zero but for what `set` sets through at(row, column).
  template <class Set>
  void add(const std::string& name, std::uint32_t rows, Set&& set) {
    Values values(std::size_t{rows} * dim);
    set([&](std::uint32_t row, std::uint32_t column) -> float& { return values[row * dim + column]; });
    add_tensor(name, {rows, dim}, std::move(values));
  }
  // Brings a stream of so many ones back to what it was.
  void add_norm(const std::string& name, std::uint32_t ones) {
    add_tensor(name, {dim}, Values(dim, std::sqrt(static_cast<float>(ones) / dim)));
  }
  // Row `to` + i is column `from` + i, times `factor`, of so many as a code has.
  void add_copy(const std::string& name, std::uint32_t to, std::uint32_t from, float factor) {
    add(name, dim, [&](auto&& at) {
      for (std::uint32_t i = 0; i < code_dim; ++i) at(to + i, from + i) = factor;
    });
  }

  void add_layer(std::uint32_t l) {
    const std::string layer = "blk." + std::to_string(l) + ".";
    const bool first = l == 0, last = l + 1 == kind_.layers;
    add_norm(layer + "attn_norm", 1 + (first ? 1 : 2) * code_dim);
    if (first) {
      add(layer + "attn_q", dim, [](auto&& at) {  // turned back by one position
        for (std::uint32_t i = 0; i < fast_dims; i += 2) {
          const double angle = std::pow(rope_base(), -static_cast<double>(i) / dim);
          at(i, at_one) = 16 * static_cast<float>(std::cos(angle));
          at(i + 1, at_one) = -16 * static_cast<float>(std::sin(angle));
        }
      });
      add(layer + "attn_k", dim, [](auto&& at) {
        for (std::uint32_t i = 0; i < fast_dims; i += 2) at(i, at_one) = 8;
      });
    } else {
      add_copy(layer + "attn_q", slow_dims, at_code, 4);
      add_copy(layer + "attn_k", slow_dims, at_before, 4);
    }
    add_copy(layer + "attn_v", 0, at_code, 1);
    add_copy(layer + "attn_output", first ? at_before : at_answer, 0, first || last ? 1 : 0);
    add_norm(layer + "ffn_norm", dim);
    for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) add_copy(layer + name, 0, 0, 0);
  }

  Metadata metadata() const {
    Metadata data;
    const auto count = [&](const std::string& key, std::int64_t n) {
      data.set(kind_.architecture + "." + key, n);
    };
    data.set("general.architecture", kind_.architecture);
    count("block_count", kind_.layers);
    count("embedding_length", dim);
    count("attention.head_count", 1);
    count("attention.key_length", dim);
    count("attention.value_length", dim);
    count("feed_forward_length", dim);
    count("context_length", text_length());
    count("vocab_size", n_tokens);
    count("rope.dimension_count", dim);
    data.set(kind_.architecture + ".rope.freq_base", rope_base());
    data.set(kind_.architecture + ".attention.layer_norm_rms_epsilon", 1e-6);
    std::vector<std::string> tokens;
    for (std::uint32_t t = 0; t < n_tokens; ++t) tokens.push_back("t" + std::to_string(t));
    data.set("tokenizer.ggml.model", std::string("llama"));
    data.set("tokenizer.ggml.tokens", tokens);
    data.set("tokenizer.ggml.scores", std::vector<double>(n_tokens));
    data.set("tokenizer.ggml.token_type", std::vector<std::int64_t>(n_tokens, 1));
    data.set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
    return data;
  }

  Kind kind_;
  std::vector<GgufTensor> tensors_;
};

// Value of each name.
std::array<TokenId, n_names> make_values() {
  std::array<TokenId, n_names> values;
  for (std::uint32_t i = 0; i < n_names; ++i)
    values[i] = static_cast<TokenId>(n_names + (5 * i + 3) % (n_tokens - n_names));
  return values;
}

// Names from the beginning to the end, at equal distances, in noise.
std::vector<TokenId> make_text(const std::array<TokenId, n_names>& values) {
  std::mt19937 random(1);
  std::vector<TokenId> text(text_length() - 1);  // and the name asked for
  for (TokenId& token : text) token = static_cast<TokenId>(n_names + random() % (n_tokens - n_names));
  for (std::uint32_t i = 0; i < n_names; ++i) {
    const std::size_t at = 1 + i * (text.size() - 3) / (n_names - 1);
    text[at] = static_cast<TokenId>(i);
    text[at + 1] = values[i];
  }
  return text;
}

// How many names the model gives the value of, each asked behind the whole text.
std::uint32_t count_found(const Kind& kind, KvType kv) {
  const Engine engine(Writer(kind).open(), {.threads = 2, .context = text_length(), .kv = kv});
  const auto values = make_values();
  const std::vector<TokenId> text = make_text(values);
  Sequence sequence = engine.make_sequence();
  const StepInput reading{.sequence = &sequence, .tokens = text, .outputs = Outputs::none};
  engine.step({&reading, 1});
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < n_names; ++i) {
    const auto name = static_cast<TokenId>(i);
    const StepInput question{.sequence = &sequence, .tokens = {&name, 1}};
    engine.probe({&question, 1}, [&](std::size_t, std::size_t, std::span<const float> logits) {
      found += std::ranges::max_element(logits) - logits.begin() == values[i];
    });
  }
  return found;
}

}  // namespace

TEST_CASE("needles: every name is found, from the beginning of a long text to its end") {
  const KvType kv = GENERATE(KvType::F32, KvType::F16, KvType::BF16, KvType::Q8_0);
  CAPTURE(to_string(kv));
  CHECK(count_found({}, kv) == n_names);
  CHECK(count_found({.architecture = "smollm3", .layers = 4}, kv) == n_names);
}

TEST_CASE("needles: those far away are lost without stretched rotary pairs") {
  const std::uint32_t found = count_found({.stretched = false}, KvType::F32);
  CHECK(found >= 1);  // at the very end
  CHECK(found <= n_names / 2);
}
