// A llama checkpoint made in memory, for tests of the model stage: small shapes, F32 tensors, every key
// settable. Stands where the file stage's Checkpoint::open would.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "nibble/file/checkpoint.hpp"

namespace nibble::test {

struct TinyCheckpoint {
  Checkpoint checkpoint;
  std::vector<std::unique_ptr<std::vector<float>>> storage;

  explicit TinyCheckpoint(Container container = Container::gguf) {
    checkpoint.container = container;
    checkpoint.source = "tiny";
    checkpoint.metadata = Metadata("tiny");
    container == Container::gguf ? add_gguf() : add_hf();
  }

  void set(const std::string& key, Value value) { checkpoint.metadata.set(key, std::move(value)); }

  // Element i of the tensor is first + i.
  void tensor(const std::string& name, Shape shape, float first = 1.0f) {
    auto values = std::make_unique<std::vector<float>>(shape.elements());
    for (std::size_t i = 0; i < values->size(); ++i) (*values)[i] = first + static_cast<float>(i);
    checkpoint.tensors[name] = {.name = name,
                                .dtype = Dtype::F32,
                                .shape = shape,
                                .bytes = std::as_bytes(std::span(*values)),
                                .source = "tiny",
                                .offset = 4096};
    storage.push_back(std::move(values));
  }

 private:
  static constexpr std::int64_t d = 8, heads = 2, kv_heads = 1, head = 4, ffn = 12, vocab = 6, layers = 2;

  void add_gguf() {
    set("general.architecture", std::string("llama"));
    set("llama.block_count", layers);
    set("llama.embedding_length", d);
    set("llama.attention.head_count", heads);
    set("llama.attention.head_count_kv", kv_heads);
    set("llama.feed_forward_length", ffn);
    set("llama.context_length", std::int64_t{64});
    set("llama.vocab_size", vocab);
    set("llama.attention.layer_norm_rms_epsilon", 1e-5);
    set("llama.rope.dimension_count", head);
    tensor("token_embd.weight", {vocab, d});
    tensor("output_norm.weight", {d});
    for (int i = 0; i < layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      add_layer({blk + "attn_norm", blk + "attn_q", blk + "attn_k", blk + "attn_v", blk + "attn_output",
                 blk + "ffn_norm", blk + "ffn_gate", blk + "ffn_up", blk + "ffn_down"});
    }
  }

  void add_hf() {
    set("architectures", std::vector<std::string>{"LlamaForCausalLM"});
    set("num_hidden_layers", layers);
    set("hidden_size", d);
    set("num_attention_heads", heads);
    set("num_key_value_heads", kv_heads);
    set("intermediate_size", ffn);
    set("max_position_embeddings", std::int64_t{64});
    set("vocab_size", vocab);
    set("rms_norm_eps", 1e-5);
    tensor("model.embed_tokens.weight", {vocab, d});
    tensor("model.norm.weight", {d});
    for (int i = 0; i < layers; ++i) {
      const std::string l = "model.layers." + std::to_string(i) + ".";
      add_layer({l + "input_layernorm", l + "self_attn.q_proj", l + "self_attn.k_proj",
                 l + "self_attn.v_proj", l + "self_attn.o_proj", l + "post_attention_layernorm",
                 l + "mlp.gate_proj", l + "mlp.up_proj", l + "mlp.down_proj"});
    }
  }

  // Names in the order of the layer: norm, q, k, v, o, norm, gate, up, down.
  void add_layer(const std::vector<std::string>& names) {
    const Shape shapes[] = {{d},
                            {heads * head, d},
                            {kv_heads * head, d},
                            {kv_heads * head, d},
                            {d, heads * head},
                            {d},
                            {ffn, d},
                            {ffn, d},
                            {d, ffn}};
    for (std::size_t i = 0; i < names.size(); ++i) tensor(names[i] + ".weight", shapes[i], 100.0f * float(i));
  }
};

// The Error that `call` throws; fails the test where it throws none.
template <class Call>
Error thrown(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e;
  }
  return Error({.code = ErrorCode::internal, .found = "nothing was thrown"});
}

}  // namespace nibble::test
