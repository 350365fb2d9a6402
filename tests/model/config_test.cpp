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

namespace {

// A tiny checkpoint of another family: llama's keys under its name.
TinyCheckpoint tiny_of(const std::string& architecture, Container container, const std::string& hf_name) {
  TinyCheckpoint tiny(container);
  if (container == Container::safetensors) {
    tiny.set("architectures", std::vector<std::string>{hf_name});
    return tiny;
  }
  tiny.set("general.architecture", architecture);
  const auto entries = tiny.checkpoint.metadata.entries();
  for (const auto& [key, entry] : entries)
    if (key.starts_with("llama.")) tiny.set(architecture + key.substr(5), entry.value);
  return tiny;
}

TinyCheckpoint hf_of(const std::string& name) { return tiny_of("", Container::safetensors, name); }
TinyCheckpoint gguf_of(const std::string& name) { return tiny_of(name, Container::gguf, ""); }

std::vector<double> numbers(std::size_t n, double first) {
  std::vector<double> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(first + static_cast<double>(i));
  return values;
}

}  // namespace

TEST_CASE("config: every architecture of the list reads both of its names") {
  for (const Architecture* a : architectures()) {
    CAPTURE(a->name);
    TinyCheckpoint gguf = gguf_of(std::string(a->name));
    if (a->mixture) gguf.set(std::string(a->name) + ".expert_count", std::int64_t{4});
    CHECK(&find_architecture(gguf.checkpoint) == a);
    for (std::string_view name : a->hf_names)
      CHECK(&find_architecture(hf_of(std::string(name)).checkpoint) == a);
  }
}

TEST_CASE("config: yarn's bounds are whole dims where config.json does not say otherwise, of gpt-oss, too") {
  const auto whole = [](const char* name, std::optional<bool> truncate) {
    TinyCheckpoint tiny = hf_of(name);
    tiny.set("num_local_experts", std::int64_t{4});
    tiny.set("num_experts_per_tok", std::int64_t{2});
    tiny.set("rope_scaling.rope_type", std::string("yarn"));
    tiny.set("rope_scaling.factor", 4.0);
    if (truncate) tiny.set("rope_scaling.truncate", *truncate);
    return read(tiny).rope.whole_dims;
  };
  CHECK(whole("LlamaForCausalLM", {}));
  CHECK_FALSE(whole("LlamaForCausalLM", false));
  CHECK(whole("GptOssForCausalLM", {}));
  CHECK_FALSE(whole("GptOssForCausalLM", false));
}

TEST_CASE("config: longrope, in the spellings of Phi-3's releases") {
  const std::string type = GENERATE("su", "yarn", "longrope");
  TinyCheckpoint tiny = hf_of("Phi3ForCausalLM");
  tiny.set("max_position_embeddings", std::int64_t{131'072});
  tiny.set("original_max_position_embeddings", std::int64_t{4'096});
  tiny.set("rope_scaling.type", type);
  tiny.set("rope_scaling.short_factor", numbers(2, 1));
  tiny.set("rope_scaling.long_factor", numbers(2, 3));
  Config c = read(tiny);
  CHECK(c.rope.scaling == RopeScaling::longrope);
  CHECK(c.rope.magnitude == Approx(1.190238).epsilon(1e-6));
  CHECK(make_rope(c.rope, RopePairs::halves, no_weight, {}).inverse_frequency[0] == 1.0f / 3);
  c.rope.context = 4'096;
  CHECK(make_rope(c.rope, RopePairs::halves, no_weight, {}).inverse_frequency[0] == 1.0f);
}

TEST_CASE("config: Gemma 3's text part inside a model of text and images, with what it leaves out") {
  TinyCheckpoint tiny(Container::safetensors);
  tiny.checkpoint.metadata = Metadata("tiny");
  tiny.set("architectures", std::vector<std::string>{"Gemma3ForConditionalGeneration"});
  tiny.set("text_config.hidden_size", std::int64_t{2'560});
  tiny.set("text_config.num_hidden_layers", std::int64_t{34});
  tiny.set("text_config.sliding_window", std::int64_t{1'024});
  tiny.set("text_config.rope_scaling.rope_type", std::string("linear"));
  tiny.set("text_config.rope_scaling.factor", 8.0);
  const Config c = read(tiny);
  CHECK(c.embed_dim == 2'560);
  CHECK(c.n_heads == 8);
  CHECK(c.n_kv_heads == 4);
  CHECK(c.head_dim == 256);
  CHECK(c.vocab_size == 262'208);
  CHECK(c.rope.factor == 8.0);
  CHECK(c.rope.base == 1e6);
  CHECK(c.local_rope.base == 1e4);
  CHECK(c.local_rope.scaling == RopeScaling::none);
  CHECK(c.window_of(4) == 1'024);
  CHECK(c.window_of(5) == 0);
  CHECK(c.attention_scale == 1.0 / 16);
}

TEST_CASE("config: which layers have a window, by list, by pattern, and by habit") {
  TinyCheckpoint gguf = gguf_of("gemma2");
  CHECK(read(gguf).global == std::vector<bool>{false, true});
  CHECK(read(gguf).attention_softcap == 50.0);
  gguf.set("gemma2.attention.sliding_window_pattern", std::vector<bool>{false, true});
  CHECK(read(gguf).global == std::vector<bool>{true, false});
  gguf.set("gemma2.attention.sliding_window_pattern", std::int64_t{1});
  CHECK(read(gguf).global == std::vector<bool>{true, true});
  TinyCheckpoint hf = hf_of("Gemma2ForCausalLM");
  hf.set("layer_types", std::vector<std::string>{"full_attention", "sliding_attention"});
  CHECK(read(hf).global == std::vector<bool>{true, false});
  CHECK(read(hf).attention_softcap == 0.0);
  TinyCheckpoint smollm3 = hf_of("SmolLM3ForCausalLM");
  smollm3.set("no_rope_layers", std::vector<std::int64_t>{0, 1});
  CHECK(read(smollm3).no_rope == std::vector<bool>{true, false});
}

TEST_CASE("config: Gemma 2 27B scales attention by its width, which GGUF files do not say") {
  TinyCheckpoint tiny = gguf_of("gemma2");
  tiny.set("gemma2.embedding_length", std::int64_t{4'608});
  tiny.set("gemma2.attention.head_count", std::int64_t{32});
  tiny.set("gemma2.attention.key_length", std::int64_t{128});
  tiny.set("gemma2.rope.dimension_count", std::int64_t{128});
  tiny.set("gemma2.block_count", std::int64_t{46});
  CHECK(read(tiny).attention_scale == 1.0 / 12);
  tiny.set("gemma2.block_count", std::int64_t{42});
  CHECK(read(tiny).attention_scale == Approx(1 / std::sqrt(128.0)));
}

TEST_CASE("config: an adapter is no model, though it names the architecture of one") {
  const Error error = refused("general.type", std::string("adapter"));
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.field() == "general.type");
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

TEST_CASE("malformed 34: every kind of scaling, with a value that it cannot have") {
  const auto refusal = [](const std::string& type, const std::string& key, Value value) {
    TinyCheckpoint tiny(Container::safetensors);
    tiny.set("rope_scaling.rope_type", type);
    tiny.set("rope_scaling.factor", 4.0);
    tiny.set("rope_scaling.low_freq_factor", 1.0);
    tiny.set("rope_scaling.high_freq_factor", 4.0);
    if (type == "longrope") {
      tiny.set("rope_scaling.short_factor", numbers(2, 1));
      tiny.set("rope_scaling.long_factor", numbers(2, 1));
    }
    tiny.set(key, std::move(value));
    return thrown([&] { make_rope(read(tiny).rope, RopePairs::halves, no_weight, {}); }).code();
  };
  using enum ErrorCode;
  CHECK(refusal("linear", "rope_scaling.factor", 0.0) == out_of_range);
  CHECK(refusal("dynamic", "rope_scaling.factor", -1.0) == out_of_range);
  CHECK(refusal("dynamic", "partial_rotary_factor", 0.5) == out_of_range);
  CHECK(refusal("llama3", "rope_scaling.high_freq_factor", 1.0) == out_of_range);
  CHECK(refusal("yarn", "rope_scaling.beta_fast", std::nan("")) == out_of_range);
  CHECK(refusal("yarn", "rope_scaling.truncate", 1.0) == wrong_type);
  CHECK(refusal("longrope", "rope_scaling.long_factor", numbers(3, 1)) == shape_mismatch);
  CHECK(refusal("longrope", "rope_scaling.long_factor", numbers(2, 0)) == out_of_range);
  CHECK(refusal("longrope", "rope_scaling.short_factor", std::string("1")) == wrong_type);
  CHECK(refusal("longrope", "original_max_position_embeddings", std::int64_t{0}) == out_of_range);
  CHECK(refusal("longrope", "rope_scaling.attention_factor", -1.0) == out_of_range);
  CHECK(refusal("linear", "partial_rotary_factor", 1.5) == out_of_range);
  CHECK(refusal("linear", "partial_rotary_factor", 1e-9) == out_of_range);
  CHECK(refusal("spiral", "rope_scaling.factor", 4.0) == unsupported);
}

TEST_CASE("malformed 34: longrope whose original context is a single position has no finite magnitude") {
  TinyCheckpoint tiny(Container::safetensors);
  tiny.set("rope_scaling.rope_type", std::string("longrope"));
  tiny.set("rope_scaling.short_factor", numbers(2, 1));
  tiny.set("rope_scaling.long_factor", numbers(2, 1));
  tiny.set("original_max_position_embeddings", std::int64_t{1});
  CHECK(thrown([&] { make_rope(read(tiny).rope, RopePairs::halves, no_weight, {}); }).code() ==
        ErrorCode::out_of_range);
}

TEST_CASE("malformed 31, 37: lists of layers that are too short, too long, or of other values") {
  const auto refusal = [](const char* architecture, const char* key, Value value) {
    TinyCheckpoint tiny = hf_of(architecture);
    tiny.set("use_sliding_window", true);
    tiny.set("sliding_window", std::int64_t{4});
    tiny.set(key, std::move(value));
    const Error e = thrown([&] { read(tiny); });
    CHECK(e.field() == key);
    return e.code();
  };
  using Texts = std::vector<std::string>;
  using Counts = std::vector<std::int64_t>;
  using enum ErrorCode;
  CHECK(refusal("Gemma2ForCausalLM", "layer_types", Texts{"full_attention"}) == shape_mismatch);
  CHECK(refusal("Gemma2ForCausalLM", "layer_types", Texts(3, "full_attention")) == shape_mismatch);
  CHECK(refusal("Qwen3ForCausalLM", "layer_types", Texts{"full_attention", "mamba"}) == unsupported);
  CHECK(refusal("Qwen2ForCausalLM", "sliding_window", std::int64_t{0}) == out_of_range);
  CHECK(refusal("SmolLM3ForCausalLM", "no_rope_layers", Counts{1}) == shape_mismatch);
  CHECK(refusal("SmolLM3ForCausalLM", "no_rope_layers", Counts{1, 2}) == out_of_range);
  CHECK(refusal("SmolLM3ForCausalLM", "no_rope_layer_interval", std::int64_t{0}) == out_of_range);
  CHECK(refusal("Gemma3ForCausalLM", "sliding_window_pattern", std::int64_t{0}) == out_of_range);
  CHECK(refusal("Gemma3ForCausalLM", "sliding_window_pattern", std::string("6")) == wrong_type);
}

TEST_CASE("malformed 34: multipliers and soft-caps out of range, and what a plan would not honour") {
  for (const double bad : {0.0, -1.0, std::nan("")}) {
    for (const char* key : {"embedding_scale", "residual_scale", "attention.scale", "logit_scale"}) {
      TinyCheckpoint tiny = gguf_of("granite");
      tiny.set(std::string("granite.") + key, bad);
      CHECK(thrown([&] { read(tiny); }).field() == std::string("granite.") + key);
    }
    TinyCheckpoint tiny = gguf_of("gemma2");
    tiny.set("gemma2.attn_logit_softcapping", bad);
    CHECK(thrown([&] { read(tiny); }).code() == ErrorCode::out_of_range);
  }
  TinyCheckpoint tiny = hf_of("Gemma2ForCausalLM");
  tiny.set("hidden_activation", std::string("gelu"));
  CHECK(thrown([&] { read(tiny); }).code() == ErrorCode::unsupported);
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
