// A model's hyperparameters, and how an architecture reads them from either container's metadata, checked as
// they are read. Start of the model stage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/core/export.hpp"
#include "nibble/core/limits.hpp"
#include "nibble/file/checkpoint.hpp"

namespace nibble::inline v0 {

enum class RopeScaling { none, linear, dynamic, llama3, yarn, longrope };

// Rotary position embedding: dims rotated, base, and how long contexts stretch it.
struct RopeConfig {
  std::uint32_t dim = 0;  // rotated dims of each head, even, <= head_dim
  double base = 10'000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                 // linear, dynamic, llama3, yarn
  double low_frequency_factor = 1.0;   // llama3
  double high_frequency_factor = 4.0;  // llama3
  double original_context = 8'192.0;   // all but linear: positions the model knew before it was stretched
  double fast_turns = 32.0;            // yarn: dims that turn more often in original_context stay as they are
  double slow_turns = 1.0;             // yarn: dims that turn less often are divided by the factor
  bool whole_dims = true;              // yarn: the bounds between those are rounded to whole dims
  double magnitude = 1.0;              // yarn, longrope: multiplies cos and sin
  std::vector<double> short_divisors = {};  // longrope of config.json (dim / 2); GGUF has tensors
  std::vector<double> long_divisors = {};
  // Positions that will be run. Dynamic and longrope depend on it, not on how far a sequence has come: a
  // token's angles never change.
  std::uint32_t context = 0;

  bool is_stretched() const noexcept { return context > original_context; }
};

struct Config {
  std::string architecture;
  std::string name;  // general.name, may be empty
  std::uint32_t n_layers = 0;
  std::uint32_t embed_dim = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;  // divides n_heads
  std::uint32_t head_dim = 0;
  std::uint32_t ffn_dim = 0;
  std::uint32_t n_experts = 0;       // of each layer; 0: none
  std::uint32_t n_experts_used = 0;  // by each token
  std::uint32_t expert_ffn_dim = 0;  // of one expert
  bool normed_experts = true;        // weights of a token's experts add up to 1
  std::uint32_t vocab_size = 0;      // rows of the output matrix; may exceed the tokenizer's count
  std::uint32_t context_length = 0;  // positions the model was trained for
  std::uint32_t window = 0;          // keys a query sees, itself included; 0: all
  std::vector<bool> global;          // (n_layers), or empty: layers that see all keys, whatever the window
  double norm_eps = 0;
  RopeConfig rope;

  // What only some families have.
  RopeConfig local_rope;         // of the layers with a window, where it differs
  std::vector<bool> no_rope;     // (n_layers), or empty: layers that know no positions
  double attention_scale = 0;    // multiplies q k^T; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0;  // 0: none
  double logit_softcap = 0;      // 0: none
  double embedding_scale = 1;
  double residual_scale = 1;  // of what each attention and MLP adds
  double logit_scale = 1;

  std::uint32_t q_dim() const { return n_heads * head_dim; }
  std::uint32_t kv_dim() const { return n_kv_heads * head_dim; }
  // The window of one layer.
  std::uint32_t window_of(std::uint32_t layer) const {
    return layer < global.size() && global[layer] ? 0 : window;
  }
};

// Layers n - 1, 2n - 1, ...: how "every n-th" counts.
NIBBLE_API std::vector<bool> every_nth(std::uint32_t n, std::uint32_t n_layers);

// One hyperparameter's two names: GGUF's (without the architecture's prefix) and config.json's.
struct Key {
  std::string_view gguf;
  std::string_view hf;
};

// Metadata as an architecture asks for it. Every method throws Error at the key it was asked for: missing,
// wrong_type, out_of_range (zero, negative, not finite), limit.
class NIBBLE_API ConfigReader {
 public:
  ConfigReader(const Checkpoint& checkpoint, std::string_view architecture, const Limits& limits)
      : checkpoint_(checkpoint), architecture_(architecture), limits_(limits) {}

  // The keys that all architectures share, read and checked against each other; what only some have is left
  // at its default. Where config.json lacks a key, what `absent` holds other than 0 stands in. Errors: also
  // out_of_range where KV heads do not divide heads, or rope dims are odd or exceed the head.
  Config common(const Config& absent = {}) const;

  // Which layers see all keys: by `layer_types`, or by a pattern in the file, or else `absent`. Errors: also
  // unsupported (an unknown kind of layer).
  std::vector<bool> global_layers(std::uint32_t n_layers, std::vector<bool> absent) const;

  // What mixtures of experts have beside: `count` names how many experts there are. An expert is as wide as
  // the MLP where the file says nothing else. Errors: also out_of_range (more used than there are, or too
  // wide).
  void experts(Config& config, Key count) const;

  bool is_gguf() const noexcept { return checkpoint_.container == Container::gguf; }
  bool has(Key key) const;
  std::uint32_t positive(Key key) const;
  std::uint32_t positive(Key key, std::uint32_t absent) const;
  std::uint32_t count(Key key, std::uint32_t absent) const;  // zero allowed
  double positive_number(Key key) const;
  double positive_number(Key key, double absent) const;
  std::string text(Key key, std::string_view absent) const;
  bool flag(Key key, bool absent) const;
  // One flag for each layer, as bools or as 0 and 1; empty where the key is absent.
  std::vector<bool> layer_flags(Key key, std::uint32_t n_layers) const;
  // Throws where the key has another value than this: the only one that the plan honours.
  void demand_text(Key key, std::string_view value) const;
  void demand_flag(Key key, bool value) const;
  // An Error at the key, or naming it where it is absent.
  Error error(ErrorCode code, Key key, std::string found, std::string allowed) const;

 private:
  std::string name(Key key) const;
  RopeConfig read_rope(const Config& config, double absent_base) const;
  std::uint32_t rope_dims(const Config& config, const std::string& group) const;
  void read_llama3(RopeConfig& rope, const std::string& group) const;
  void read_yarn(RopeConfig& rope, const Config& config, const std::string& group) const;
  void read_longrope(RopeConfig& rope, const Config& config, const std::string& group) const;
  std::vector<double> divisors(const std::string& key, std::size_t n) const;

  const Checkpoint& checkpoint_;
  std::string architecture_;
  const Limits& limits_;
};

}  // namespace nibble::inline v0
