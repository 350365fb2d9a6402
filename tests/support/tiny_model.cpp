// The tiny model's tensors, metadata and two small vocabularies.
// For every test that needs a model to run.
#include "support/tiny_model.hpp"

#include <cmath>
#include <vector>

#include "nibble/file/gguf.hpp"
#include "nibble/quant/formats.hpp"
#include "support/temp_folder.hpp"

namespace nibble::test {
namespace {

// splitmix64: the same weights everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // Uniform in [-1, 1).
  float operator()() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<float>(static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0);
  }

 private:
  std::uint64_t state_;
};

struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<double> scores;
  std::vector<std::int64_t> kinds;

  void add(std::string token, std::int64_t kind, double score = 0) {
    tokens.push_back(std::move(token));
    kinds.push_back(kind);
    scores.push_back(score);
  }
};

constexpr const char* spm_space = "\u2581";
constexpr const char* byte_level_space = "\u0120";

// Pieces, longer ones made of earlier ones, best first.
std::vector<std::pair<std::string, std::string>> pairs(const std::string& space) {
  return {{space, "t"},        {"h", "e"},          {space, "a"}, {space + "t", "he"},
          {"i", "n"},          {"e", "r"},          {"o", "n"},   {space + "a", "n"},
          {space + "an", "d"}, {"in", "g"},         {"r", "e"},   {space, "s"},
          {"a", "t"},          {space + "s", "at"}, {"l", "l"},   {"o", "u"}};
}

Vocabulary spm_vocabulary() {
  Vocabulary v;
  v.add("<unk>", 2);
  v.add("<s>", 3);
  v.add("</s>", 3);
  constexpr char digits[] = "0123456789ABCDEF";
  for (int b = 0; b < 256; ++b) v.add(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">", 6);
  double score = 0;
  for (const auto& [a, b] : pairs(spm_space)) v.add(a + b, 1, score -= 1);
  v.add(spm_space, 1, -1000);
  for (char c = '!'; c <= '~'; ++c) v.add(std::string(1, c), 1, -1000 - c);
  return v;
}

// The byte alphabet of byte-level BPE: printable Latin-1 stands for itself, the rest follow from U+0100 on.
std::string byte_character(int byte, int& next) {
  const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const int code = itself ? byte : 256 + next++;
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
}

Vocabulary byte_level_vocabulary() {
  Vocabulary v;
  v.add("<|begin|>", 3);
  v.add("<|end|>", 3);
  for (int byte = 0, next = 0; byte < 256; ++byte) v.add(byte_character(byte, next), 1);
  for (const auto& [a, b] : pairs(byte_level_space)) {
    v.add(a + b, 1);
    v.merges.push_back(a + " " + b);
  }
  return v;
}

Vocabulary vocabulary_of(const TinyModel& model) {
  return model.byte_level ? byte_level_vocabulary() : spm_vocabulary();
}

// A matrix of uniform numbers with variance 1 / cols, or a vector around 1.
GgufTensor tensor(const TinyModel& model, const std::string& name, Shape shape, Dtype dtype) {
  const bool matrix = shape.rank() == 2;
  std::uint64_t seed = model.seed;
  for (const char c : name) seed = seed * 1'000'003 + static_cast<unsigned char>(c);
  return {.name = name, .dtype = dtype, .shape = shape, .fill = [=](std::span<std::byte> out) {
            Random random(seed);
            std::vector<float> values(shape.elements());
            const float scale = std::sqrt(3.0f / static_cast<float>(shape.cols()));
            for (float& value : values) value = matrix ? random() * scale : 1.0f + 0.1f * random();
            const Format& format = *find_format(dtype);
            format.encode(values.data(), out.data(), values.size(), nullptr);
          }};
}

std::vector<GgufTensor> tensors_of(const TinyModel& m) {
  const std::uint64_t d = m.embed_dim, q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim, f = m.ffn_dim;
  std::vector<GgufTensor> list;
  std::size_t matrices = 0;
  const auto add = [&](const std::string& name, Shape shape) {
    Dtype dtype = Dtype::F32;
    if (shape.rank() == 2) dtype = m.mixed ? formats()[matrices++ % formats().size()].dtype : m.dtype;
    list.push_back(tensor(m, name + ".weight", shape, dtype));
  };
  add("token_embd", {m.vocabulary(), d});
  add("output_norm", {d});
  if (!m.tied) add("output", {m.vocabulary(), d});
  for (std::uint32_t i = 0; i < m.layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    add(layer + "attn_norm", {d});
    add(layer + "attn_q", {q, d});
    add(layer + "attn_k", {kv, d});
    add(layer + "attn_v", {kv, d});
    add(layer + "attn_output", {d, q});
    add(layer + "ffn_norm", {d});
    add(layer + "ffn_gate", {f, d});
    add(layer + "ffn_up", {f, d});
    add(layer + "ffn_down", {d, f});
  }
  return list;
}

}  // namespace

TinyModel TinyModel::blocks(Dtype dtype) {
  return {.head_dim = 64, .embed_dim = 256, .ffn_dim = 256, .dtype = dtype};
}

std::uint32_t TinyModel::vocabulary() const {
  return static_cast<std::uint32_t>(vocabulary_of(*this).tokens.size()) + padding_rows;
}

Metadata tiny_metadata(const TinyModel& m) {
  Vocabulary v = vocabulary_of(m);
  Metadata data;
  const auto set = [&](const std::string& key, Value value) { data.set(key, std::move(value)); };
  const auto count = [&](const std::string& key, std::int64_t n) { set("llama." + key, n); };
  set("general.architecture", std::string("llama"));
  set("general.name", std::string("tiny"));
  count("block_count", m.layers);
  count("embedding_length", m.embed_dim);
  count("attention.head_count", m.heads);
  count("attention.head_count_kv", m.kv_heads);
  count("attention.key_length", m.head_dim);
  count("attention.value_length", m.head_dim);
  count("feed_forward_length", m.ffn_dim);
  count("context_length", m.context);
  count("vocab_size", m.vocabulary());
  count("rope.dimension_count", m.head_dim);
  if (m.window != 0) count("attention.sliding_window", m.window);
  set("llama.attention.layer_norm_rms_epsilon", 1e-5);
  set("tokenizer.ggml.model", std::string(m.byte_level ? "gpt2" : "llama"));
  if (m.byte_level) {
    set("tokenizer.ggml.pre", std::string("gpt-2"));
    set("tokenizer.ggml.merges", std::move(v.merges));
  } else {
    set("tokenizer.ggml.scores", std::move(v.scores));
    set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
  }
  set("tokenizer.ggml.tokens", std::move(v.tokens));
  set("tokenizer.ggml.token_type", std::move(v.kinds));
  set("tokenizer.ggml.bos_token_id", std::int64_t{m.byte_level ? 0 : 1});
  set("tokenizer.ggml.eos_token_id", std::int64_t{m.byte_level ? 1 : 2});
  set("tokenizer.ggml.add_bos_token", true);
  return data;
}

void write_tiny_model(const std::filesystem::path& path, const TinyModel& model, const Metadata& metadata) {
  write_gguf(path, metadata, tensors_of(model));
}

void write_tiny_model(const std::filesystem::path& path, const TinyModel& model) {
  write_tiny_model(path, model, tiny_metadata(model));
}

Model open_tiny_model(const TinyModel& model) {
  const TempFolder folder;
  write_tiny_model(folder.path() / "tiny.gguf", model);
  return Model::open(folder.path() / "tiny.gguf", {.load = LoadMode::copy});
}

}  // namespace nibble::test
