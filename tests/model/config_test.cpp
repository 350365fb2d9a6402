// Hyperparameters: what both containers say, and every value that must be refused, at its key.
// Tests model/config.hpp and model/architecture.hpp.
#include "nibble/model/config.hpp"

#include <cmath>
#include <limits>

#include "model/tiny_checkpoint.hpp"
#include "nibble/model/architecture.hpp"
#include "support/catch.hpp"

using namespace nibble;
using nibble::test::thrown;
using nibble::test::TinyCheckpoint;

namespace {

Config read(const TinyCheckpoint& tiny, const Limits& limits = {}) {
  const Architecture& a = find_architecture(tiny.checkpoint);
  return a.config(ConfigReader(tiny.checkpoint, a.name, limits));
}

Error refused(const std::string& key, Value value, Container container = Container::gguf) {
  TinyCheckpoint tiny(container);
  tiny.set(key, std::move(value));
  return thrown([&] { read(tiny); });
}

}  // namespace

TEST_CASE("config: both containers give the same hyperparameters") {
  const Config gguf = read(TinyCheckpoint(Container::gguf));
  const Config hf = read(TinyCheckpoint(Container::safetensors));
  for (const Config& c : {gguf, hf}) {
    CHECK(c.n_layers == 2);
    CHECK(c.embed_dim == 8);
    CHECK(c.n_heads == 2);
    CHECK(c.n_kv_heads == 1);
    CHECK(c.head_dim == 4);
    CHECK(c.ffn_dim == 12);
    CHECK(c.vocab_size == 6);
    CHECK(c.context_length == 64);
    CHECK(c.window == 0);
    CHECK(c.rope.dim == 4);
    CHECK(c.rope.base == 10'000.0);
    CHECK(c.rope.scaling == RopeScaling::none);
  }
}

TEST_CASE("config: optional keys are read") {
  TinyCheckpoint tiny;
  tiny.set("llama.attention.sliding_window", std::int64_t{16});
  tiny.set("llama.rope.freq_base", 5e5);
  tiny.set("llama.rope.scaling.type", std::string("linear"));
  tiny.set("llama.rope.scaling.factor", 4.0);
  const Config c = read(tiny);
  CHECK(c.window == 16);
  CHECK(c.rope.base == 5e5);
  CHECK(c.rope.scaling == RopeScaling::linear);
  CHECK(c.rope.factor == 4.0);
}

TEST_CASE("config: the three spellings of rope scaling in config.json") {
  const std::string group = GENERATE("rope_scaling.", "rope_parameters.");
  const std::string type = GENERATE("rope_type", "type");
  if (group == "rope_parameters." && type == "type") return;  // never written so
  TinyCheckpoint tiny(Container::safetensors);
  tiny.set(group + type, std::string("llama3"));
  tiny.set(group + "factor", 8.0);
  tiny.set(group + "low_freq_factor", 1.0);
  tiny.set(group + "high_freq_factor", 4.0);
  tiny.set(group + "original_max_position_embeddings", std::int64_t{40});
  const Config c = read(tiny);
  CHECK(c.rope.scaling == RopeScaling::llama3);
  CHECK(c.rope.factor == 8.0);
  CHECK(c.rope.original_context == 40.0);
}

TEST_CASE("malformed 29: unknown architecture, by name and with those that work") {
  const Error gguf = refused("general.architecture", std::string("bloom"));
  CHECK(gguf.code() == ErrorCode::unsupported);
  CHECK(gguf.field() == "general.architecture");
  CHECK(gguf.found() == "'bloom'");
  CHECK(gguf.allowed().find("llama") != std::string_view::npos);
  const Error hf =
      refused("architectures", std::vector<std::string>{"BloomForCausalLM"}, Container::safetensors);
  CHECK(hf.code() == ErrorCode::unsupported);
  CHECK(hf.allowed().find("MistralForCausalLM") != std::string_view::npos);
}

TEST_CASE("malformed 30: a required key missing, or of the wrong type") {
  TinyCheckpoint empty;
  empty.checkpoint.metadata = Metadata("tiny");
  empty.set("general.architecture", std::string("llama"));
  const Error missing = thrown([&] { read(empty); });
  CHECK(missing.code() == ErrorCode::missing);
  CHECK(missing.field() == "llama.block_count");
  CHECK(refused("llama.embedding_length", std::string("8")).code() == ErrorCode::wrong_type);
  CHECK(refused("llama.attention.layer_norm_rms_epsilon", std::string("x")).code() == ErrorCode::wrong_type);
}

TEST_CASE("malformed 31: zero widths, layers and heads") {
  for (const char* key :
       {"llama.block_count", "llama.embedding_length", "llama.attention.head_count",
        "llama.attention.head_count_kv", "llama.feed_forward_length", "llama.context_length"}) {
    const Error e = refused(key, std::int64_t{0});
    CHECK(e.code() == ErrorCode::out_of_range);
    CHECK(e.field() == key);
  }
  CHECK(refused("llama.block_count", std::int64_t{-1}).code() == ErrorCode::out_of_range);
}

TEST_CASE("malformed 32: more layers than the cap") {
  const Error e = refused("llama.block_count", std::int64_t{1025});
  CHECK(e.code() == ErrorCode::limit);
  CHECK(e.allowed() == "at most 1024");
}

TEST_CASE("malformed 33: heads not divisible by KV heads") {
  TinyCheckpoint tiny;
  tiny.set("llama.attention.head_count", std::int64_t{4});
  tiny.set("llama.attention.head_count_kv", std::int64_t{3});
  const Error e = thrown([&] { read(tiny); });
  CHECK(e.code() == ErrorCode::out_of_range);
  CHECK(e.field() == "llama.attention.head_count_kv");
}

TEST_CASE("malformed 34: rope dims, base, factor and eps out of range") {
  for (std::int64_t dim : {3, 6})
    CHECK(refused("llama.rope.dimension_count", dim).code() == ErrorCode::out_of_range);
  for (double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const char* key :
         {"llama.rope.freq_base", "llama.rope.scaling.factor", "llama.attention.layer_norm_rms_epsilon"}) {
      const Error e = refused(key, bad);
      CHECK(e.code() == ErrorCode::out_of_range);
      CHECK(e.field() == key);
    }
  }
  CHECK(refused("llama.rope.scaling.type", std::string("spiral")).code() == ErrorCode::unsupported);
}

TEST_CASE("malformed 35: more experts used than there are, none, or too many") {
  for (const auto& [count, used, field] : {std::tuple{4, 5, "llama.expert_used_count"},
                                           {4, 0, "llama.expert_used_count"},
                                           {65'537, 2, "llama.expert_count"},
                                           {-1, 1, "llama.expert_count"}}) {
    TinyCheckpoint tiny;
    tiny.set("llama.expert_count", std::int64_t{count});
    tiny.set("llama.expert_used_count", std::int64_t{used});
    const Error e = thrown([&] { read(tiny); });
    CHECK(e.code() == ErrorCode::out_of_range);
    CHECK(e.field() == field);
  }
}

TEST_CASE("config: widths whose product passes 32 bits are refused") {
  TinyCheckpoint tiny;
  tiny.set("llama.attention.head_count", std::int64_t{1} << 20);
  tiny.set("llama.attention.key_length", std::int64_t{1} << 20);
  tiny.set("llama.attention.value_length", std::int64_t{1} << 20);
  CHECK(thrown([&] { read(tiny); }).code() == ErrorCode::out_of_range);
}
